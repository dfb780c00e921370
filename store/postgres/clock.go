package postgres

import (
	"sync/atomic"
	"time"
)

// dbNow is the database's clock in Unix milliseconds, as part of a statement; %d is what tests have moved it by.
const dbNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// clockOffset is how far the database's clock is ahead of this process's.
type clockOffset struct{ millis atomic.Int64 }

// negligible offsets are as good as none: they are within what measuring them can tell.
const negligible = 250 * time.Millisecond

// measured takes what the database's clock said between two moments of the process's.
func (c *clockOffset) measured(before, after, database time.Time) {
	offset := database.Sub(before.Add(after.Sub(before) / 2))
	if offset.Abs() < negligible+after.Sub(before)/2 {
		offset = 0
	}
	c.millis.Store(offset.Milliseconds())
}

// localNow is the process's clock, moved as tests have moved the store's.
func (s *Store) localNow() time.Time { return time.Now().Add(time.Duration(s.skew.Load())).UTC() }

// skewMillis is what tests have moved the store's clock by.
func (s *Store) skewMillis() int64 { return time.Duration(s.skew.Load()).Milliseconds() }

// toDatabase gives a time of this process's clock by the database's, in milliseconds; the zero time gives 0.
func (s *Store) toDatabase(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli() + s.offset.millis.Load()
}

// fromDatabase is the inverse of toDatabase.
func (s *Store) fromDatabase(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return millis(ms - s.offset.millis.Load())
}

// millis makes a time of Unix milliseconds; 0 is the zero time.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// unixMillis is the inverse of millis.
func unixMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
