package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Harness is one store under test.
type Harness struct {
	Store store.Store
	// Advance moves the store's clock: what it calls now, not what callers hand in.
	Advance func(d time.Duration)
	// Reopen closes the store and opens what it stored, as the next process would.
	Reopen func(t *testing.T) store.Store
	// WholeDays: Expire drops what is of a day together, once the day has ended before.
	WholeDays bool
	// AtRest returns all bytes that are stored, whatever their form.
	AtRest func(t *testing.T) []byte
}

// Run runs the suite, or those of its groups that only names. open gives each case an empty store and cleans up with
// t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness, only ...string) {
	groups := []group{
		{"Seen", seenPromises},
		{"Record", recordPromises},
		{"Moves", movePromises},
		{"Due", duePromises},
		{"Finish", finishPromises},
		{"Gates", gatePromises},
		{"Shards", shardPromises},
		{"Config", configPromises},
		{"Endpoints", endpointPromises},
		{"Apply", applyPromises},
		{"Keys", keyPromises},
		{"History", historyPromises},
		{"Deliveries", deliveryPromises},
		{"Retry", retryPromises},
		{"Retention", retentionPromises},
		{"Races", racePromises},
	}
	for _, name := range only {
		if !slices.ContainsFunc(groups, func(g group) bool { return g.name == name }) {
			t.Fatalf("there is no group %s", name)
		}
	}
	for _, g := range groups {
		if len(only) > 0 && !slices.Contains(only, g.name) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range g.cases {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					p.check(newBench(t, open(t)))
				})
			}
		})
	}
}

// group is what the suite promises about one subject.
type group struct {
	name  string
	cases []promise
}

// promise is one sentence of the contract.
type promise struct {
	name  string
	check func(b *bench)
}

// bench is a store with what most cases need.
type bench struct {
	*testing.T
	Harness
	now  time.Time // about the store's, in whole milliseconds
	soon time.Time // a while ahead: a row that is due by then keeps its NextAt, which the store would raise to its own time
}

func newBench(t *testing.T, h Harness) *bench {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return &bench{T: t, Harness: h, now: now, soon: now.Add(30 * time.Second)}
}

// must fails the test if err is not nil.
func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// want fails the test if err is not target.
func (b *bench) want(err, target error) {
	b.Helper()
	if !errors.Is(err, target) {
		b.Fatalf("error = %v, want %v", err, target)
	}
}

// equal compares what was got with what is wanted; nil and empty slices are one.
func equal[T any](b *bench, what string, got, want T) {
	b.Helper()
	if v := reflect.ValueOf(got); v.Kind() == reflect.Slice && v.Len() == 0 && reflect.ValueOf(want).Len() == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		b.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// ok returns v, and fails the test for an error.
func ok[T any](v T, err error) func(b *bench) T {
	return func(b *bench) T {
		b.Helper()
		b.must(err)
		return v
	}
}

// event makes an event that happened at t.
func (b *bench) event(t time.Time) *event.Event {
	t = t.UTC().Truncate(time.Millisecond)
	return &event.Event{ID: event.NewID(t), Tenant: event.DefaultTenant, Source: "github", Type: "push", Time: t, Body: []byte("{}")}
}

// recorded records events that happened at these times.
func (b *bench) recorded(times ...time.Time) []*event.Event {
	b.Helper()
	var events []*event.Event
	batch := &store.Batch{}
	for _, t := range times {
		events = append(events, b.event(t))
		batch.Events = append(batch.Events, store.EventRow{Event: events[len(events)-1], Matched: 1})
	}
	b.record(batch)
	return events
}

func (b *bench) record(batch *store.Batch) {
	b.Helper()
	b.must(b.Store.Record(b.Context(), batch))
}

// endpoint makes an endpoint.
func (b *bench) endpoint(name string) store.Endpoint {
	b.Helper()
	return ok(b.Store.CreateEndpoint(b.Context(), newEndpoint(name)))(b)
}

func newEndpoint(name string) store.Endpoint {
	return store.Endpoint{
		Tenant: event.DefaultTenant, Name: name, URL: "https://example.com/" + name, MaxQueued: store.DefaultMaxQueued,
		Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(), ManagedBy: store.ManagedByAPI,
	}
}

// to is the original delivery of e to an endpoint.
func to(e *event.Event, id store.EndpointID) store.DeliveryID {
	return store.DeliveryID{Event: e.ID, Endpoint: id}
}

// queue records deliveries that are due from b.soon on.
func (b *bench) queue(ids ...store.DeliveryID) {
	b.Helper()
	batch := &store.Batch{}
	for _, id := range ids {
		batch.Queue = append(batch.Queue, b.row(id))
	}
	b.record(batch)
}

func (b *bench) row(id store.DeliveryID) store.Queued {
	return store.Queued{ID: id, Size: 2, NextAt: b.soon, Reason: store.ReasonGate, QueuedAt: b.now}
}

// outcome is the end of a delivery at its first attempt.
func (b *bench) outcome(id store.DeliveryID, state store.DeliveryState) store.Outcome {
	o := store.Outcome{ID: id, State: state, Attempts: 1, FirstAttempt: b.now, FinishedAt: b.now.Add(time.Second)}
	switch state {
	case store.DeliveryDelivered:
		o.LastStatus, o.LastDuration = 200, 11*time.Millisecond
	case store.DeliveryDead:
		o.Reason, o.LastStatus, o.LastError = store.ReasonExhausted, 500, "server error"
	case store.DeliveryCanceled:
		o.Reason = store.ReasonDeleted
	}
	return o
}

func (b *bench) delivery(id store.DeliveryID) store.Delivery {
	b.Helper()
	return ok(b.Store.GetDelivery(b.Context(), id))(b)
}

// wantState checks in which state a delivery is.
func (b *bench) wantState(id store.DeliveryID, want store.DeliveryState) {
	b.Helper()
	if got := b.delivery(id).State; got != want {
		b.Fatalf("delivery is %s, want %s", got, want)
	}
}

// due returns what is due at t, with room for everything.
func (b *bench) due(t time.Time) []store.Queued {
	b.Helper()
	return ok(b.Store.Due(b.Context(), store.DueQuery{Shards: everyShard(), Now: t, Room: 1000, Limit: 1000}))(b)
}

func everyShard() []store.Shard {
	shards := make([]store.Shard, store.Shards)
	for i := range shards {
		shards[i] = store.Shard(i)
	}
	return shards
}

func deliveryIDs(rows []store.Queued) []store.DeliveryID {
	ids := make([]store.DeliveryID, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}

// known returns what Seen knows of an event, in order.
func (b *bench) known(id event.ID) store.Seen {
	b.Helper()
	answers := ok(b.Store.Seen(b.Context(), []store.SeenQuery{{ID: id}}))(b)
	slices.SortFunc(answers[0].Known, compareDeliveries)
	return answers[0]
}
