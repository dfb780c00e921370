package ledger

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// good is a book without a fault: 60 events of three types to three endpoints. Event 7 was answered 503 and arrived, event 8
// was answered 503 and did not, event 9 was refused; every delivery of event 11 failed once before.
func good() *Book {
	b := &Book{Routes: []Route{
		{Endpoint: "all"},
		{Endpoint: "orders", Types: []string{"order.*"}},
		{Endpoint: "paid", Types: []string{"order.paid", "invoice.**"}, Sources: []string{"shop"}},
	}}
	types := []string{"order.paid", "order.sent", "invoice.paid.late"}
	for seq := range int64(60) {
		at := start.Add(time.Duration(seq) * 100 * time.Millisecond)
		s := Sent{
			Seq: seq, Source: "shop", Type: types[seq%3], Body: sha256.Sum256([]byte{byte(seq)}),
			Begun: at, Ended: at.Add(5 * time.Millisecond), Outcome: OK, Status: 200,
		}
		switch seq {
		case 7, 8:
			s.Outcome, s.Status = Unknown, 503
		case 9:
			s.Outcome, s.Status = Fail, 401
		}
		b.Sent = append(b.Sent, s)
		if seq == 8 || seq == 9 {
			continue
		}
		for _, endpoint := range []string{"all", "orders", "paid"} {
			if needs(b.Routes, s)[endpoint] != required {
				continue
			}
			r := Receipt{
				Seq: seq, Endpoint: endpoint, EventID: fmt.Sprintf("evt_%03d", seq), Attempt: 1, Body: s.Body, Signed: true,
				At: s.Begun.Add(3 * time.Millisecond), Status: 200, Written: true,
			}
			if seq == 11 {
				failed := r
				failed.Status = 500
				b.Receipts = append(b.Receipts, failed)
				r.Attempt, r.At = 2, r.At.Add(10*time.Second)
			}
			b.Receipts = append(b.Receipts, r)
			b.States = append(b.States, State{Seq: -1, EventID: r.EventID, Endpoint: endpoint, State: "delivered"})
		}
	}
	return b
}

func TestGoodLedgerHasNoProblem(t *testing.T) {
	r := Check(good())
	if p := r.Problems(0); p != nil {
		t.Errorf("got %q", p)
	}
	if r.Events != 60 || r.Accepted != 57 || r.Counts[Recovered] != 1 || r.Counts[Resent] != 2 || len(r.Counts) != 2 {
		t.Errorf("got %v, want 60 sent, 57 accepted, 1 recovered, 2 resent", r)
	}
}

// Each way of spoiling the good ledger is reported as its class, once, and as nothing else.
func TestMutationIsReportedAsItsClass(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(b *Book)
		want  Class
	}{
		"a delivery that never arrived": {func(b *Book) {
			dropReceipt(b, 30, "orders")
			dropState(b, 30, "orders")
		}, Lost},
		"one that waits in the queue": {func(b *Book) {
			dropReceipt(b, 30, "orders")
			state(b, 30, "orders").State = "queued"
		}, Stuck},
		"one that arrived and is unknown to the gateway": {func(b *Book) { dropState(b, 30, "orders") }, Stuck},
		"one that arrived and waits to be sent again":    {func(b *Book) { state(b, 30, "orders").State = "queued" }, Stuck},
		"one that is delivered only in words":            {func(b *Book) { dropReceipt(b, 30, "orders") }, Phantom},
		"one that was answered 500 and is delivered":     {func(b *Book) { receipt(b, 30, "orders").Status = 500 }, Phantom},
		"an event that nobody sent": {func(b *Book) {
			r := *receipt(b, 30, "all")
			r.Seq, r.EventID = 1000, "evt_1000"
			b.Receipts = append(b.Receipts, r)
		}, Unexpected},
		"a body that is no event at all": {func(b *Book) {
			r := *receipt(b, 30, "all")
			r.Seq, r.EventID = -1, "evt_1000"
			b.Receipts = append(b.Receipts, r)
		}, Unexpected},
		"an event that was refused": {func(b *Book) {
			r := *receipt(b, 30, "all")
			r.Seq, r.EventID = 9, "evt_009"
			b.Receipts = append(b.Receipts, r)
		}, Unexpected},
		"an endpoint that subscribes to another type": {func(b *Book) {
			r := *receipt(b, 31, "orders") // order.sent
			r.Endpoint = "paid"
			b.Receipts = append(b.Receipts, r)
		}, Misrouted},
		"an endpoint that subscribes to another source": {func(b *Book) {
			b.Sent[30].Source = "elsewhere"
		}, Misrouted},
		"an endpoint deleted long before": {func(b *Book) {
			b.Routes[0].Until = b.Sent[58].Begun.Add(-margin - time.Second)
			for seq := int64(0); seq < 60; seq++ {
				if s := b.Sent[seq]; seq != 59 && s.Begun.After(b.Routes[0].Until.Add(margin)) {
					dropReceipt(b, seq, "all")
					dropState(b, seq, "all")
				}
			}
		}, Misrouted},
		"a flipped byte":    {func(b *Book) { receipt(b, 30, "all").Body[0] ^= 1 }, Corrupt},
		"a wrong signature": {func(b *Book) { receipt(b, 30, "all").Signed = false }, Corrupt},
		"another id at the second endpoint": {func(b *Book) {
			receipt(b, 30, "orders").EventID = "evt_other"
			state(b, 30, "orders").Seq = 30
			state(b, 30, "orders").EventID = "evt_other"
		}, Renamed},
		"an arrival before it was sent": {func(b *Book) {
			r := receipt(b, 30, "all")
			r.At = r.At.Add(-time.Second)
		}, Acausal},
		"a second 2xx": {func(b *Book) { b.Receipts = append(b.Receipts, *receipt(b, 30, "all")) }, Duplicate},
		"another attempt after a 2xx that failed": {func(b *Book) {
			r := *receipt(b, 30, "all")
			r.Status, r.At = 500, r.At.Add(time.Second)
			b.Receipts = append(b.Receipts, r)
		}, Duplicate},
		"a third attempt after a 2xx that broke off": {func(b *Book) {
			r := *receipt(b, 30, "all")
			r.Written, r.At = false, r.At.Add(-time.Millisecond)
			b.Receipts = append(b.Receipts, r)
		}, Resent},
		"an unknown outcome that arrived": {func(b *Book) { b.Sent[30].Outcome = Unknown }, Recovered},
		"an unknown outcome that arrived at only one of its endpoints": {func(b *Book) {
			dropReceipt(b, 7, "orders")
			dropState(b, 7, "orders")
		}, Lost},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := Check(good()).Counts, good()
			tc.spoil(after)
			got := Check(after)
			want := maps.Clone(before)
			want[tc.want]++
			if !maps.Equal(got.Counts, want) {
				t.Errorf("got %v\n%v, want one more %s and nothing else", got, got.Examples, tc.want)
			}
			if wrong := tc.want != Recovered && tc.want != Resent; (got.Problems(0) != nil) != wrong {
				t.Errorf("problems: got %q", got.Problems(0))
			}
		})
	}
}

func TestDuplicatesAreAllowedUpToTheirLimit(t *testing.T) {
	b := good()
	b.Receipts = append(b.Receipts, *receipt(b, 30, "all"), *receipt(b, 33, "all"))
	r := Check(b)
	if got := r.Problems(2); got != nil {
		t.Errorf("2 duplicates, 2 allowed: got %q", got)
	}
	if got := r.Problems(1); len(got) != 1 {
		t.Errorf("2 duplicates, 1 allowed: got %q", got)
	}
}

func TestEndOfADeliveryMayBeOtherThanDelivered(t *testing.T) {
	for _, end := range []string{"dead", "canceled"} {
		b := good()
		dropReceipt(b, 30, "orders")
		state(b, 30, "orders").State = end
		if got := Check(b).Problems(0); got != nil {
			t.Errorf("%s: got %q", end, got)
		}
	}
}

func TestNearAChangeOfRoutesEitherOutcomeIsRight(t *testing.T) {
	b := good()
	b.Routes = append(b.Routes, Route{Endpoint: "new", From: start.Add(3 * time.Second)}) // margin: the whole run
	r := *receipt(b, 30, "all")
	r.Endpoint = "new"
	b.Receipts = append(b.Receipts, r)
	b.States = append(b.States, State{Seq: -1, EventID: r.EventID, Endpoint: "new", State: "delivered"})
	if got := Check(b).Problems(0); got != nil {
		t.Errorf("one of the events near the change arrived: got %q", got)
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"*", "a.b", true},
		{"a", "a", true},
		{"a", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.*", "a", false},
		{"a.**", "a.b.c", true},
		{"a.**", "a", false},
		{"a.**", "ab.c", false},
	} {
		if got := matches(tc.pattern, tc.eventType); got != tc.want {
			t.Errorf("%s on %s: got %v, want %v", tc.pattern, tc.eventType, got, tc.want)
		}
	}
}

func receipt(b *Book, seq int64, endpoint string) *Receipt {
	return &b.Receipts[slices.IndexFunc(b.Receipts, func(r Receipt) bool { return r.Seq == seq && r.Endpoint == endpoint })]
}

func state(b *Book, seq int64, endpoint string) *State {
	id := fmt.Sprintf("evt_%03d", seq)
	return &b.States[slices.IndexFunc(b.States, func(s State) bool { return s.EventID == id && s.Endpoint == endpoint })]
}

func dropReceipt(b *Book, seq int64, endpoint string) {
	b.Receipts = slices.DeleteFunc(b.Receipts, func(r Receipt) bool { return r.Seq == seq && r.Endpoint == endpoint })
}

func dropState(b *Book, seq int64, endpoint string) {
	id := fmt.Sprintf("evt_%03d", seq)
	b.States = slices.DeleteFunc(b.States, func(s State) bool { return s.EventID == id && s.Endpoint == endpoint })
}
