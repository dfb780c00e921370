package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Config says how the configuration is watched.
type Config struct {
	Dir  string        // where the last good copy is kept; empty: nowhere
	Poll time.Duration // between two questions to the store; 0: DefaultPoll
}

// DefaultPoll keeps a change from being seen within 2 s even when one question fails.
const DefaultPoll = 500 * time.Millisecond

const (
	pollTimeout = 5 * time.Second  // of one question
	saveDelay   = time.Second      // a copy is written so long after a change, with those that follow it
	saveRetry   = 10 * time.Second // after a copy that could not be written
)

// source is what a Watcher needs of a store.
type source interface {
	Changes(ctx context.Context, since int64) (store.Changes, error)
}

// Watcher keeps the configuration current. Its methods are safe for concurrent use; Load and Run are called once, in
// that order.
type Watcher struct {
	poll    time.Duration
	source  source
	copy    *copyFile // nil: none is kept
	log     *zap.Logger
	metrics *telemetry.Snapshot
	started time.Time
	wake    chan struct{}

	current   atomic.Pointer[Snapshot]
	confirmed atomic.Pointer[time.Time]

	mu      sync.Mutex
	changed chan struct{}

	unsaved bool // of Load and Run alone, as the rest
	anew    bool // the snapshot is from a copy: ask for everything
	failing bool // the last question failed
}

// New returns a Watcher with an empty snapshot.
func New(cfg Config, from source, sealer *store.Sealer, logger *zap.Logger, reg prometheus.Registerer) *Watcher {
	w := &Watcher{
		poll: cfg.Poll, source: from, log: logger.With(telemetry.Component("snapshot")), started: time.Now(),
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if w.poll == 0 {
		w.poll = DefaultPoll
	}
	if cfg.Dir != "" {
		w.copy = &copyFile{cfg.Dir, sealer}
	}
	w.current.Store(&Snapshot{})
	w.confirmed.Store(&time.Time{})
	w.metrics = telemetry.NewSnapshot(reg, w.age)
	return w
}

// Current returns the configuration as last seen. It is never nil.
func (w *Watcher) Current() *Snapshot { return w.current.Load() }

// Confirmed returns when the store last confirmed that Current is current, by the monotonic clock, taken before it was
// asked; zero if it never did. Read it before Current: what Current then returns is at least as new.
func (w *Watcher) Confirmed() time.Time { return *w.confirmed.Load() }

// Changed returns a channel that is closed at the next change. Get it before Current, or a change in between is missed.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// Wake has Run ask the store now: who has changed the configuration in this process need not wait for the next poll.
func (w *Watcher) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watcher) age() time.Duration {
	at := w.Confirmed()
	if at.IsZero() {
		at = w.started
	}
	return time.Since(at)
}

// Load reads the configuration from the store or, if that is down, from the last good copy, and says so in the log. It
// fails when there is neither, and when the store holds secrets that no key opens (store.ErrSealed).
func (w *Watcher) Load(ctx context.Context) error {
	failed := w.ask(ctx)
	if failed == nil {
		return nil
	}
	if errors.Is(failed, store.ErrSealed) || ctx.Err() != nil {
		return failed
	}
	if w.copy == nil {
		return fmt.Errorf("no configuration, and no copy of it is kept: %w", failed)
	}
	s, savedAt, err := w.copy.read()
	if err != nil {
		return fmt.Errorf("no configuration: %w", errors.Join(failed, fmt.Errorf("nor a copy of it: %w", err)))
	}
	w.anew = true
	w.publish(s)
	w.log.Warn("the store is down, going on with the last copy of the configuration",
		telemetry.ConfigVersion(s.Version), telemetry.SavedAt(savedAt), telemetry.Error(failed))
	return nil
}

// Run asks the store again and again, and keeps the copy, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	poll := time.NewTicker(w.poll)
	defer poll.Stop()
	save := time.NewTimer(saveDelay)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			w.save()
			return nil
		case <-save.C:
			if !w.save() {
				save.Reset(saveRetry)
			}
			continue
		case <-poll.C:
		case <-w.wake:
		}
		saved := !w.unsaved
		w.keepAsking(ctx)
		if saved && w.unsaved {
			save.Reset(saveDelay)
		}
	}
}

// keepAsking asks once, and says in the log when the store goes down and when it is back.
func (w *Watcher) keepAsking(ctx context.Context) {
	err := w.ask(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && !w.failing:
		w.failing = true
		w.log.Warn("configuration not confirmed, going on with what is known", telemetry.ConfigVersion(w.Current().Version), telemetry.Error(err))
	case err == nil && w.failing:
		w.failing = false
		w.log.Info("configuration confirmed again", telemetry.ConfigVersion(w.Current().Version))
	}
}

// ask asks the store once for what has changed.
func (w *Watcher) ask(ctx context.Context) error {
	asked := time.Now()
	now := w.Current()
	since := now.Version
	if w.anew {
		since = 0
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	ch, err := w.source.Changes(ctx, since)
	if err != nil {
		w.metrics.Polls.WithLabelValues("error").Inc()
		return err
	}
	w.metrics.Polls.WithLabelValues("ok").Inc()
	ch.Full = ch.Full || since == 0
	if ch.Full || ch.Version != now.Version {
		w.publish(now.apply(&ch))
		w.anew, w.unsaved = false, true
	}
	w.confirmed.Store(&asked)
	return nil
}

// publish puts a snapshot in place and tells everybody.
func (w *Watcher) publish(s *Snapshot) {
	w.current.Store(s)
	w.metrics.Version.Set(float64(s.Version))
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// save writes the copy if it is behind. It reports whether there is nothing left to write.
func (w *Watcher) save() bool {
	if w.copy == nil || !w.unsaved {
		return true
	}
	if err := w.copy.write(w.Current(), time.Now().UTC()); err != nil {
		w.metrics.Saves.WithLabelValues("error").Inc()
		w.log.Warn("the last good copy of the configuration is behind", telemetry.Error(err))
		return false
	}
	w.metrics.Saves.WithLabelValues("ok").Inc()
	w.unsaved = false
	return true
}
