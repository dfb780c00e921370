// Package brokertest is the conformance suite of message brokers: one case per promise of package broker. An adapter's
// own test is little but a Harness:
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, func(t *testing.T) brokertest.Harness { … })
//	}
//
// Cases are named for what they promise. One that needs something the harness cannot do is skipped, and says what.
package brokertest

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// Harness is an empty broker and what can be done to it. Open and the limits are required. The rest are capabilities: nil
// when the adapter, or what it is tested against, has none.
type Harness struct {
	// Open opens the broker as a process of its own would, and closes it at the end of the test if it is still open.
	// Cases open it again only after Close or Kill.
	Open func(t *testing.T) broker.Broker

	// The limits that Open sets. Small ones make short tests: 64 messages, 64 KiB, half a second.
	Window      int
	WindowBytes int64
	Drain       time.Duration

	// Kill ends b as SIGKILL would end its process: nothing is settled, committed or handed back.
	Kill func(t *testing.T, b broker.Broker)

	// Passed reports whether what the broker has committed for group is behind the message: after a crash it would not
	// come again. It asks the broker, not the adapter.
	Passed func(t *testing.T, b broker.Broker, topic, group, stream, position string) bool

	// Refuse has the broker refuse to store anything, as a full disk does, until heal is called. Reading goes on.
	Refuse func(t *testing.T, b broker.Broker) (heal func())

	// Outage has everything that is asked of the broker fail until heal is called, as when it restarts.
	Outage func(t *testing.T, b broker.Broker) (heal func())

	// LoseAnswer has the next publish be stored and its answer be lost.
	LoseAnswer func(t *testing.T, b broker.Broker)

	// Truncate removes what is stored before position of a stream, as retention does.
	Truncate func(t *testing.T, b broker.Broker, topic, stream, position string)

	// Break makes consuming impossible for good, as revoked credentials do.
	Break func(t *testing.T, b broker.Broker)
}

const (
	topic = "orders"
	group = "workers"

	patience = 20 * time.Second       // for what must happen
	quiet    = 150 * time.Millisecond // without anything: it does not happen
)

// Run runs every case, each with a harness of its own.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"PublishedIsDurable", publishedIsDurable},
		{"PublishRefusesOnlyWhatIsTooLarge", publishRefusesOnlyWhatIsTooLarge},
		{"BytesArriveAsTheyWere", bytesArriveAsTheyWere},
		{"TimeIsWhenTheBrokerAccepted", timeIsWhenTheBrokerAccepted},
		{"ConcurrentPublishersLoseNothingAndKeepOrderPerKey", concurrentPublishersKeepOrder},
		{"CanceledPublishStoresNothingUnlessAmbiguous", canceledPublish},
		{"PublishAfterCloseIsErrClosed", publishAfterClose},
		{"LostAnswerIsAmbiguousAndTryingAgainLosesNothing", lostAnswer},
		{"RefusalIsQuickAndHeals", refusalIsQuickAndHeals},

		{"EveryGroupGetsEveryMessageOnce", everyGroupOnce},
		{"ConsumersShareTheWork", consumersShareTheWork},
		{"HandleIsSerialAndInOrderPerStream", serialAndInOrder},
		{"NewGroupStartsWithTheOldestKept", newGroupStartsWithOldest},
		{"LagIsTrue", lagIsTrue},

		{"UnackedComesAgainAfterCrash", unackedComesAgain},
		{"AckSurvivesCrash", ackSurvivesCrash},
		{"CommitNeverPassesUnacked", commitNeverPassesUnacked},
		{"AckIsIdempotentFromManyGoroutines", ackIsIdempotent},
		{"LateAckIsHarmless", lateAckIsHarmless},
		{"UnackedIsGivenBackWhenRunReturns", unackedIsGivenBack},

		{"StuckMessageBlocksNothingUntilTheWindowIsFull", stuckMessage},
		{"WindowBoundsMessages", windowBoundsMessages},
		{"WindowBoundsBytes", windowBoundsBytes},
		{"BlockedHandleStallsOnlyItsStream", blockedHandle},

		{"ChurnLosesNothing", churnLosesNothing},
		{"WhatStaysIsNotHandedOutAgain", whatStays},
		{"RevokeNamesWhatGoesOnceBeforeTheFinalCommit", revokeNamesWhatGoes},
		{"LeaseEndsWithOwnership", leaseEnds},
		{"DrainDeadlineIsKept", drainDeadline},
		{"RunIsOnce", runIsOnce},

		{"PanicNeitherLosesNorAcks", panicNeitherLosesNorAcks},
		{"OutageHealsByItself", outageHeals},
		{"GapIsReportedAndPassed", gapIsReported},
		{"PermanentErrorEndsRun", permanentErrorEndsRun},
		{"CloseLeavesNothingRunning", closeLeavesNothing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, newHarness(t)) })
	}
}

// need skips the test if the harness lacks a capability.
func need(t *testing.T, has bool, capability string) {
	t.Helper()
	if !has {
		t.Skipf("the harness cannot do this: %s", capability)
	}
}
