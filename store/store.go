package store

import "context"

// Store is everything at once: what cmd opens from store.url and hands to each part as the small interface it needs.
type Store interface {
	Config
	Keys
	Recorder
	Queue
	Gates
	ShardOwnership
	History
	Retention
	// Check reports every problem `sluice check` should name. Nil means it can be read and written now.
	Check(ctx context.Context) error
	// Close waits for what is under way and releases everything.
	Close() error
}
