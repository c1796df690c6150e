package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Harness is a Store under test and the clock that it decides on. One test uses a Harness alone.
type Harness struct {
	// Store has no hits, or none of the keys that the suite uses: "k", "other" and the like. Required.
	Store slidingwindow.Store

	// Advance moves the clock of the Store by d, back if d is negative. It must have moved when Advance
	// returns. Calls of the Store and of Advance do not overlap. Required.
	Advance func(d time.Duration)

	// Expires tells that the Store drops a log on that clock as soon as no window that is in use counts
	// any of its hits. The suite compares when it does so. Leave it false if logs expire on a clock that
	// Advance does not move, as in Redis.
	Expires bool

	// Keeps tells that the Store forgets no hit until Reset, or only long after the suite has ended. The
	// suite then skips what it asks of stores that forget.
	Keeps bool

	// Tick is the least difference that the Store makes between the times of two hits of one log that
	// have the same number of units: it moves the later one ahead. 0, the usual case, stands for none.
	Tick time.Duration
}

// Epoch is what the clock of a new Harness must show. It is years away from the clock of the machine, so
// that a Store that reads that one fails.
var Epoch = time.Date(2035, time.May, 4, 3, 2, 1, 234_567_000, time.UTC)

// Run runs the suite as subtests of t. It calls open once for each of them, one after the other, for a
// Harness that shares nothing with the others: an empty Store, or one that adds a prefix of its own to
// keys. To free what open took, use the Cleanup of the t that it is given.
//
// Run asks for all that a [slidingwindow.Store] can do. A subtest fails if it needs a field of
// Request that the Store answers with [errors.ErrUnsupported]. Leave those out by their names, with
// the flag -skip of go test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Promise1_NeverMoreThanMaxInAnyWindow/edge", noEdgeBurst},
		{"Promise1_NeverMoreThanMaxInAnyWindow/concurrent", concurrentCallsAdmitMax},
		{"Promise1_NeverMoreThanMaxInAnyWindow/random", noWindowHoldsMoreThanMax},
		{"Promise1_NeverMoreThanMaxInAnyWindow/clock_set_back", clockSetBackAdmitsNoMore},
		{"Promise1_NeverMoreThanMaxInAnyWindow/clock_set_back_often", clockSetBackAgainAndAgain},
		{"Promise1_NeverMoreThanMaxInAnyWindow/units_taken_ahead", holdersUseNoMoreThanMax},
		{"ReplenishAfter/clock_set_back", nothingLeavesLaterThanItself},
		{"Promise2_ARefusalConsumesNothing/one_limit", refusalConsumesNothing},
		{"Promise2_ARefusalConsumesNothing/several_limits", refusalByOneTakesFromNone},
		{"Promise3_TheStoresClockDecides", storesClockDecides},
		{"Promise3_TheStoresClockDecides/set_back", lockOutNoLongerThanTheStep},
		{"Promise4_TwoHitsInOneMicrosecondAreTwo", hitsInOneMicrosecond},
		{"Promise6_RetryAfterIsExact", retryAfterIsExact},
		{"Promise6_RetryAfterIsExact/several_limits", retryAfterOfSeveralLimits},
		{"Promise6_RetryAfterIsExact/resolution", retryAfterIsExactWithResolution},
		{"Promise7_EarlyByLessThanResolution", callsOfAResolutionLeaveTogether},
		{"Promise7_EarlyByLessThanResolution/random", earlyByLessThanResolution},
		{"Promise8_ABadCallFailsAlone", badCallFailsAlone},
		{"Promise9_EachWindowOfANameHolds", eachWindowHolds},
		{"Promise9_EachWindowOfANameHolds/for_long", longWindowHoldsForLong},
		{"Promise9_EachWindowOfANameHolds/then_the_log_forgets", unusedWindowsAreForgotten},
		{"Promise9_EachWindowOfANameHolds/random", noWindowOfANameHoldsMoreThanMax},
		{"Model", matchesModel},
		{"Decision", decisionFields},
		{"Peek", peekTakesNothing},
		{"Reset", resetForgets},
		{"Refund/once", refundGivesBackOnce},
		{"Refund/one_call", refundIsOfOneCall},
		{"Refund/gone", refundOfWhatIsGone},
		{"Refund/another_key", refundOfAnotherKey},
		{"Refund/ended_context", refundOfAnEndedContext},
		{"Refund/concurrent", concurrentRefunds},
		{"Refund/opens", refundOpensTheKey},
		{"Costs", costsOfManySizes},
		{"CostPerLimit", costPerLimit},
		{"CostPerLimit/bad", badCosts},
		{"AtMost", atMost},
		{"AtMost/concurrent", concurrentAtMost},
		{"PeekN", peekOfSeveral},
		{"Promise10_TheOrderOfAskingIsTheOrderOfPlaces", waitersStandInLine},
		{"Promise10_NobodyJumpsTheLine", nobodyJumpsTheLine},
		{"Promise10_TheWholeQuotaIsUsed", lineUsesTheWholeQuota},
		{"Settle", settlePerLimit},
		{"Settle/above_Max", settleAboveMax},
		{"Settle/again", settleAgain},
		{"Settle/gone", settleOfWhatIsGone},
		{"Settle/bad", badSettles},
		{"Settle/ended_context", settleAfterTheClientLeft},
		{"Settle/concurrent", concurrentSettles},
		{"Settle/orphan", orphanOfABudget},
		{"Settle/foreign", foreignDecisions},
		{"Text", textHoldsAll},
		{"Text/settled", settlesFromText},
		{"Charge", chargeMayPassMax},
		{"Reserve/several_limits", placeFitsAllLimits},
		{"Reserve/left", leavingTheLine},
		{"Reserve/bad", badWaits},
		{"Reserve/shadow", nobodyWaitsWhereNothingIsRefused},
		{"Wait/cancelled", cancelledWaiterLeaves},
		{"Wait/too_long", waitTooLong},
		{"Resolution/refund", refundFromASharedEntry},
		{"Resolution/concurrent", concurrentCallsShareEntries},
		{"Resolution/several_limits", resolutionIsOfEachLimit},
		{"Resolution/reserve", placesWithResolution},
		{"Resolution/changes", resolutionMayChange},
		{"Ahead", takenAheadCountsUntilItsEnd},
		{"Ahead/rounded_up", aheadIsNeverLessThanAsked},
		{"MaxZero", maxZeroRefusesAll},
		{"LimitChanges", logSurvivesLimitChange},
		{"Keys", keysAreIndependent},
		{"LimitNames", limitNamesAreIndependent},
		{"SharedLimit", limitersOfOneNameShareTheLog},
		{"Context", endedContextTakesNothing},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// limiter returns a Limiter over the Store.
func (h Harness) limiter(t require.TestingT, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	limiter, err := slidingwindow.New(h.Store, limits...)
	require.NoError(t, err)
	return limiter
}
