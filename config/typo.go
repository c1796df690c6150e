package config

import (
	"slices"
	"strings"
)

// likelyTypo tells a variable that was meant for a limit from one that has nothing to
// do with this program, such as Kubernetes' LIMITS_PORT_80_TCP for a Service named
// limits: its last word is, or nearly is, that of a limit.
func likelyTypo(variable string) bool {
	rest, ok := strings.CutPrefix(variable, limitsVariables)
	word := strings.ToLower(rest[strings.LastIndexByte(rest, '_')+1:])
	// One slip in three letters: with two, CPU_MIN and MEMORY_MIB would be near MAX.
	near := func(field string) bool { return editDistance(word, field) <= len(field)/3 }
	return ok && (near(fieldMax) || near(fieldWindow))
}

// suggestion ends a message about an unknown key with the known one it resembles.
func suggestion(key string) string {
	candidates := slices.Clone(plainKeys)
	if parts := strings.Split(key, "."); len(parts) == 3 && isLimitName(parts[1]) {
		candidates = append(candidates, limitKey(parts[1], fieldMax), limitKey(parts[1], fieldWindow))
	}
	nearest, least := "", 3
	for _, candidate := range candidates {
		if d := editDistance(key, candidate); d < least {
			nearest, least = candidate, d
		}
	}
	if nearest != "" {
		return "did you mean " + nearest + "?"
	}
	return "known are " + strings.Join(plainKeys, ", ") + ", limits.<name>.max and limits.<name>.window"
}

// editDistance counts the bytes to insert, delete or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
