package main

import (
	"cmp"
	"slices"
	"time"
)

// overtaken compares each job with those that had their places in line before it was even given out:
// their turns come first. It returns how many pairs there were, and how many jobs overtook.
func overtaken(asks []ask) (pairs, overtook int) {
	byPlace := slices.SortedFunc(slices.Values(asks), func(a, b ask) int { return cmp.Compare(a.placed, b.placed) })
	byHand := slices.SortedFunc(slices.Values(asks), func(a, b ask) int { return cmp.Compare(a.handed, b.handed) })
	before, last := 0, int64(0)
	for _, a := range byHand {
		for before < len(byPlace) && byPlace[before].placed < a.handed {
			last = max(last, byPlace[before].turn)
			before++
		}
		pairs += before
		if a.turn <= last {
			overtook++
		}
	}
	return pairs, overtook
}

// windowsOver counts the windows that hold more than max turns. Each is the shortest that holds max
// turns and one more.
func windowsOver(asks []ask, max int, window time.Duration) (over int) {
	turns := turnsOf(asks)
	for i := max; i < len(turns); i++ {
		if turns[i]-turns[i-max] < window.Microseconds() {
			over++
		}
	}
	return over
}

// quotaUsed is the share of the quota that was used in the whole windows from the first turn to the
// last; windows is how many these are. After them the jobs run out.
func quotaUsed(asks []ask, max int, window time.Duration) (used float64, windows int64) {
	turns := turnsOf(asks)
	if len(turns) == 0 {
		return 0, 0
	}
	windows = (turns[len(turns)-1] - turns[0]) / window.Microseconds()
	if windows == 0 {
		return 0, 0
	}
	units, _ := slices.BinarySearch(turns, turns[0]+windows*window.Microseconds())
	return float64(units) / float64(int64(max)*windows), windows
}

func turnsOf(asks []ask) []int64 {
	turns := make([]int64, len(asks))
	for i := range asks {
		turns[i] = asks[i].turn
	}
	slices.Sort(turns)
	return turns
}
