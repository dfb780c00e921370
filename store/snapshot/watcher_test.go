package snapshot

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/store"
)

// bubble runs f in fake time with a loaded and running watcher.
func bubble(t *testing.T, f func(t *testing.T, src *fakeSource, w *Watcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := newFakeSource()
		src.putEndpoint(endpoint(1, "one"))
		src.putEndpoint(endpoint(2, "two"))
		w, _ := newWatcher(t, Config{}, src, nil)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		defer stop()
		synctest.Wait()
		f(t, src, w)
	})
}

func TestChangeIsSeenAtTheNextPollAndKeepsOtherPointers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		before, changed := w.Current(), w.Changed()
		src.putEndpoint(endpoint(2, "second"))
		time.Sleep(DefaultPoll)
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Fatal("Changed was not closed")
		}
		after := w.Current()
		if len(after.Endpoints()) != 2 || after.Endpoints()[0] != before.Endpoints()[0] || after.Endpoints()[1] == before.Endpoints()[1] {
			t.Errorf("endpoints %v after %v: want the first pointer kept, the second changed", after.Endpoints(), before.Endpoints())
		}
		if e, _ := after.Endpoint(2); e.Name != "second" {
			t.Errorf("endpoint 2 is %q, want %q", e.Name, "second")
		}
		if e, _ := before.Endpoint(2); e.Name != "two" {
			t.Errorf("the earlier snapshot changed: endpoint 2 is %q", e.Name)
		}
		if after.Version != before.Version+1 {
			t.Errorf("version %d after %d", after.Version, before.Version)
		}
	})
}

func TestOnlyWhatChangedIsAskedFor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		at := w.Current().Version
		time.Sleep(3 * DefaultPoll)
		synctest.Wait()
		for i, since := range src.questions() {
			if want := int64(0); i > 0 {
				if want = at; since != want {
					t.Errorf("question %d asks since %d, want %d", i, since, want)
				}
			} else if since != want {
				t.Errorf("Load asks since %d, want everything", since)
			}
		}
	})
}

func TestNoChangeChangesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *fakeSource, w *Watcher) {
		before, changed := w.Current(), w.Changed()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-changed:
			t.Error("Changed was closed")
		default:
		}
		if w.Current() != before {
			t.Error("a new snapshot without a change")
		}
	})
}

func TestDeletedRowsAreGone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		src.deleteEndpoint(1)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if _, ok := w.Current().Endpoint(1); ok || len(w.Current().Endpoints()) != 1 {
			t.Errorf("endpoints = %v, want the second alone", w.Current().Endpoints())
		}
	})
}

func TestFullAnswerReplacesEverythingAndKeepsEqualPointers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		before := w.Current()
		src.mu.Lock() // restored from a backup: an older version, without endpoint 2
		src.version = 1
		delete(src.endpoints, 2)
		src.mu.Unlock()
		time.Sleep(DefaultPoll)
		synctest.Wait()
		after := w.Current()
		if after.Version != 1 || len(after.Endpoints()) != 1 || after.Endpoints()[0] != before.Endpoints()[0] {
			t.Errorf("version %d with %v, want version 1 with the first endpoint as it was", after.Version, after.Endpoints())
		}
	})
}

func TestWakeAsksAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		changed := w.Changed()
		src.putEndpoint(endpoint(3, "three"))
		start := time.Now()
		w.Wake()
		w.Wake() // never blocks
		<-changed
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v after Wake", waited)
		}
	})
}

func TestConfirmedIsTakenBeforeTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		src.setLatency(300 * time.Millisecond)
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		w.Wake()
		time.Sleep(299 * time.Millisecond)
		synctest.Wait()
		if w.Confirmed().Equal(start) {
			t.Fatal("confirmed before the answer")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := w.Confirmed(); !got.Equal(start) {
			t.Errorf("Confirmed = %v, want %v", got, start)
		}
	})
}

func TestStoreDownKeepsTheSnapshotAndItsConfirmationAges(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		time.Sleep(DefaultPoll)
		synctest.Wait()
		before, confirmed := w.Current(), w.Confirmed()
		src.setDown(errDown)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w.Current() != before || !w.Confirmed().Equal(confirmed) {
			t.Errorf("confirmed %v, want %v still", w.Confirmed(), confirmed)
		}
		src.setDown(nil)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if time.Since(w.Confirmed()) > DefaultPoll {
			t.Errorf("confirmed %v ago once the store is back", time.Since(w.Confirmed()))
		}
	})
}

func TestHangingQuestionEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, src *fakeSource, w *Watcher) {
		src.setLatency(time.Hour)
		time.Sleep(2 * pollTimeout)
		src.setLatency(0)
		time.Sleep(2 * pollTimeout)
		synctest.Wait()
		if time.Since(w.Confirmed()) > DefaultPoll {
			t.Errorf("confirmed %v ago: a question hangs", time.Since(w.Confirmed()))
		}
	})
}

func TestOutageIsLoggedOnceAtEachEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newFakeSource()
		w, logs := newWatcher(t, Config{}, src, nil)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		src.setDown(errDown)
		time.Sleep(time.Minute)
		src.setDown(nil)
		time.Sleep(time.Minute)
		stop()
		if n := logs.Len(); n != 2 {
			t.Errorf("%d lines for one outage, want 2: %v", n, logs.All())
		}
	})
}

func TestLookups(t *testing.T) {
	t.Parallel()
	src := newFakeSource()
	src.putEndpoint(endpoint(7, "seven"))
	src.set(func(v int64) {
		src.sources[1] = versioned[store.Source]{row: store.Source{ID: 1, Tenant: "shop", Name: "github"}, version: v}
		src.keys[1] = versioned[store.Key]{row: store.Key{ID: 1, Tenant: "builds", Hash: [32]byte{1}}, version: v}
		src.keys[2] = versioned[store.Key]{row: store.Key{ID: 2, Hash: [32]byte{2}}, version: v}
	})
	w, _ := newWatcher(t, Config{}, src, nil)
	if s := w.Current(); s == nil || s.Version != 0 || !s.HasTenant("default") || len(s.Endpoints()) != 0 {
		t.Fatalf("before Load: %+v", s)
	}
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := w.Confirmed().String(); !strings.Contains(at, "m=") {
		t.Errorf("Confirmed = %s, want a time of the monotonic clock", at)
	}
	s := w.Current()
	if got, ok := s.Source("shop", "github"); !ok || got.ID != 1 {
		t.Errorf("Source(shop, github) = %v, %v", got, ok)
	}
	if _, ok := s.Source("default", "github"); ok {
		t.Error("a source is found in another tenant")
	}
	if got, ok := s.Key([32]byte{1}); !ok || got.ID != 1 {
		t.Errorf("Key = %v, %v", got, ok)
	}
	if _, ok := s.Key([32]byte{9}); ok {
		t.Error("an unknown key is found")
	}
	for tenant, want := range map[string]bool{"shop": true, "builds": true, "acme": true, "default": true, "": false, "nobody": false} {
		if s.HasTenant(tenant) != want {
			t.Errorf("HasTenant(%q) = %v, want %v", tenant, !want, want)
		}
	}
}

func TestLoadFailsWithoutStoreAndCopy(t *testing.T) {
	t.Parallel()
	src := newFakeSource()
	src.setDown(errDown)
	for name, dir := range map[string]string{"no directory": "", "an empty one": t.TempDir()} {
		w, _ := newWatcher(t, Config{Dir: dir}, src, newSealer(t))
		if err := w.Load(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("%s: Load = %v, want %v", name, err, errDown)
		}
	}
}
