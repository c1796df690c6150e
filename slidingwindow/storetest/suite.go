package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Harness is a store under test. All of a Harness is for one test.
type Harness struct {
	Store slidingwindow.Store

	// Advance moves the clock that the store decides on, back if d is negative.
	Advance func(d time.Duration)

	// Expires tells that logs expire on that clock. Redis has another one for that, which
	// runs on: the suite's windows are of seconds and more, and its tests take much less.
	Expires bool

	// Tick is the least difference between the times of hits of one log and as many units, 0
	// if there is none. A store with a Tick moves a hit whose time is taken ahead.
	Tick time.Duration
}

// Epoch is what the clock of a new Harness must show: far from the clock of the
// machine, so that a store that looks at that one fails.
var Epoch = time.Date(2035, time.May, 4, 3, 2, 1, 234_567_000, time.UTC)

// Run runs the conformance suite. open is called for each test and gives an empty
// store, or keys that no other test has used.
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

func (h Harness) limiter(t require.TestingT, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	limiter, err := slidingwindow.New(h.Store, limits...)
	require.NoError(t, err)
	return limiter
}
