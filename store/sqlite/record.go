package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Record writes a batch in a transaction that it may share with others. A batch refused for its data does not spoil
// theirs. Counts of duplicates alone are not idempotent: a batch that is written twice counts twice.
func (s *Store) Record(ctx context.Context, b *store.Batch) error {
	if err := s.write(ctx, durable, rowsOf(b), func(c *conn) error { return s.record(c, b) }); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

func rowsOf(b *store.Batch) int {
	return len(b.Events) + len(b.Queue) + len(b.Holds) + len(b.Retries) + len(b.Outcomes) + len(b.Attempts) + len(b.Duplicates) + len(b.Quarantine)
}

func (s *Store) record(c *conn, b *store.Batch) error {
	if err := s.putEvents(c, b.Events); err != nil {
		return err
	}
	now := s.now()
	for i := range b.Queue {
		if err := putQueued(c, &b.Queue[i], now); err != nil {
			return fmt.Errorf("queue %s: %w", b.Queue[i].ID, err)
		}
	}
	for i := range b.Holds {
		if err := putHold(c, &b.Holds[i], now); err != nil {
			return fmt.Errorf("hold %s: %w", b.Holds[i].ID, err)
		}
	}
	for i := range b.Retries {
		if err := putRetry(c, &b.Retries[i]); err != nil {
			return fmt.Errorf("retry %s: %w", b.Retries[i].ID, err)
		}
	}
	for i := range b.Outcomes {
		if err := finish(c, &b.Outcomes[i]); err != nil {
			return fmt.Errorf("outcome of %s: %w", b.Outcomes[i].ID, err)
		}
	}
	for i := range b.Attempts {
		if err := putAttempt(c, &b.Attempts[i]); err != nil {
			return fmt.Errorf("attempt %d of %s: %w", b.Attempts[i].Number, b.Attempts[i].ID, err)
		}
	}
	for _, holder := range slices.SortedFunc(maps.Keys(b.Duplicates), compareIDs) {
		if err := countDuplicates(c, holder, b.Duplicates[holder]); err != nil {
			return fmt.Errorf("duplicates of %s: %w", holder, err)
		}
	}
	for i := range b.Quarantine {
		if err := putQuarantined(c, &b.Quarantine[i]); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
	}
	return nil
}

// putDuplicates adds to a row of its own, by the key: it may come before the event's row.
const putDuplicates = `INSERT INTO duplicates (event, copies) VALUES (?, ?)
	ON CONFLICT (event) DO UPDATE SET copies = copies + excluded.copies`

func countDuplicates(c *conn, holder event.ID, n int64) error {
	return c.prepare(putDuplicates).blob(holder[:]).int(n).run()
}
