package dispatcher

import (
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// halves cuts a batch in two that together are the same, in order. ok is false for a single row.
func halves(b *store.Batch) (first, second *store.Batch, ok bool) {
	rows := (&batch{Batch: *b}).rows()
	if rows < 2 {
		return nil, nil, false
	}
	first, second = &store.Batch{}, &store.Batch{}
	left := rows / 2
	first.Events, second.Events = cut(b.Events, &left)
	first.Queue, second.Queue = cut(b.Queue, &left)
	first.Holds, second.Holds = cut(b.Holds, &left)
	first.Retries, second.Retries = cut(b.Retries, &left)
	first.Outcomes, second.Outcomes = cut(b.Outcomes, &left)
	first.Attempts, second.Attempts = cut(b.Attempts, &left)
	first.Duplicates, second.Duplicates = map[event.ID]int64{}, map[event.ID]int64{}
	for id, n := range b.Duplicates {
		if left > 0 {
			left--
			first.Duplicates[id] = n
		} else {
			second.Duplicates[id] = n
		}
	}
	first.Quarantine, second.Quarantine = cut(b.Quarantine, &left)
	return first, second, true
}

func cut[T any](s []T, left *int) (first, second []T) {
	n := min(len(s), *left)
	*left -= n
	return s[:n], s[n:]
}

// blanked returns a single-row batch without the text that outsiders wrote.
func blanked(b *store.Batch) *store.Batch {
	out := *b
	switch {
	case len(b.Events) > 0:
		e := *b.Events[0].Event
		e.Type, e.Key, e.GivenID, e.Origin, e.Path, e.Query, e.ContentType, e.TraceParent, e.TraceState = "", "", "", "", "", "", "", "", ""
		e.Headers = nil
		out.Events = []store.EventRow{{Event: &e, Matched: b.Events[0].Matched}}
	case len(b.Queue) > 0:
		q := b.Queue[0]
		q.LastError = ""
		out.Queue = []store.Queued{q}
	case len(b.Retries) > 0:
		r := b.Retries[0]
		r.LastError = ""
		out.Retries = []store.Retry{r}
	case len(b.Outcomes) > 0:
		o := b.Outcomes[0]
		o.LastError = ""
		out.Outcomes = []store.Outcome{o}
	case len(b.Attempts) > 0:
		a := b.Attempts[0]
		a.Error, a.Excerpt = "", nil
		out.Attempts = []store.Attempt{a}
	case len(b.Quarantine) > 0:
		q := b.Quarantine[0]
		q.Key, q.Headers, q.Body, q.Reason = nil, nil, nil, "not storable"
		out.Quarantine = []store.Quarantined{q}
	}
	return &out
}

// quarantineOf returns the batch that sends the event of a refused row to quarantine; nil when no event is the worse for
// it.
func (d *Dispatcher) quarantineOf(b *store.Batch, now time.Time) *store.Batch {
	q := store.Quarantined{Reason: "the store refuses its row", At: now}
	switch {
	case len(b.Events) > 0:
		e := b.Events[0].Event
		q.Event, q.Position, q.Body = e.ID, e.ID.String(), bounded(e.Body)
	case len(b.Queue) > 0:
		d.quarantineDelivery(&q, b.Queue[0].ID)
	case len(b.Holds) > 0:
		d.quarantineDelivery(&q, b.Holds[0].ID)
	case len(b.Outcomes) > 0:
		d.quarantineDelivery(&q, b.Outcomes[0].ID)
	default: // a queued delivery stays as it is, a failed attempt or a count is missing
		return nil
	}
	return &store.Batch{Quarantine: []store.Quarantined{q}}
}

// quarantineDelivery names a delivery that can be neither queued nor finished, with its event's body if that is in memory.
func (d *Dispatcher) quarantineDelivery(q *store.Quarantined, id store.DeliveryID) {
	q.Event, q.Position = id.Event, id.String()
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.inFlight[id.Event]; ok {
		q.Body = bounded(t.event.Body)
	}
}

const quarantineBytes = 1 << 20

func bounded(b []byte) []byte { return b[:min(len(b), quarantineBytes)] }
