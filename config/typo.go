package config

import (
	"slices"
	"strings"
)

// likelyTypo tells a variable that was meant for a limit from one that has nothing to
// do with this program, such as Kubernetes' LIMITS_PORT_80_TCP for a Service named
// limits: its last word is, or nearly is, that of a limit.
func likelyTypo(variable string) bool {
	rest, ok := strings.CutPrefix(strings.ToUpper(variable), limitsVariables)
	word := strings.ToLower(rest[strings.LastIndexByte(rest, '_')+1:])
	return ok && !isNamedPort(variable) && slices.ContainsFunc(limitFields, func(field string) bool {
		// One slip in three letters: with two in MAX, CPU_MIN and MEMORY_MIB would be near it.
		// By has no letter to spare, as any two are near it.
		return editDistance(word, field) <= len(field)/3
	})
}

// isNamedPort tells whether a variable is what Kubernetes sets for a port of a Service:
// LIMITS_SERVICE_PORT_BY=80 for one named by.
func isNamedPort(variable string) bool {
	return strings.HasPrefix(variable, limitsVariables) && strings.Contains(variable, "_SERVICE_PORT_")
}

// otherSpelling returns the variable that the given one is but for the case of its letters,
// and a dot or a hyphen in place of an underscore; or "".
func otherSpelling(variable string) string {
	upper := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(variable))
	if _, known := keyOf(upper); !known || upper == variable {
		return ""
	}
	return upper
}

// nearVariable returns the variable of response or client that the given one was meant
// for, or "". These sections have names that others use as well, so that only a
// resemblance to the whole tells whose a variable is.
func nearVariable(variable string) string {
	nearest, least := "", 3
	for _, key := range plainKeys {
		if !strings.HasPrefix(key, sectionResponse+".") && !strings.HasPrefix(key, sectionClient+".") {
			continue
		}
		if d := editDistance(strings.ToUpper(variable), variableOf(key)); d < least {
			nearest, least = variableOf(key), d
		}
	}
	return nearest
}

// suggestion ends a message about an unknown key with the known one it resembles.
func suggestion(key string) string {
	candidates := slices.Clone(plainKeys)
	if parts := strings.Split(key, "."); len(parts) == 3 && isLimitName(parts[1]) {
		for _, field := range limitFields {
			candidates = append(candidates, limitKey(parts[1], field))
		}
	}
	nearest, least := "", 3
	for _, candidate := range candidates {
		// As many slips as the last word has letters are no resemblance.
		lastWord := candidate[strings.LastIndexByte(candidate, '.')+1:]
		if d := editDistance(key, candidate); d < min(least, len(lastWord)) {
			nearest, least = candidate, d
		}
	}
	if nearest != "" {
		return "did you mean " + nearest + "?"
	}
	return "known are " + strings.Join(plainKeys, ", ") + ", limits.<name>.max, limits.<name>.window, limits.<name>.by and limits.<name>.shadow"
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
