package snapshot

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/sluicehq/sluice/store"
)

// savedCopy runs a watcher over src until it has written its copy to dir.
func savedCopy(t *testing.T, dir string, src *fakeSource, sealer *store.Sealer) *Snapshot {
	t.Helper()
	var s *Snapshot
	synctest.Test(t, func(t *testing.T) {
		w, _ := newWatcher(t, Config{Dir: dir}, src, sealer)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		time.Sleep(saveDelay)
		stop()
		s = w.Current()
	})
	return s
}

// fullSource has something of everything.
func fullSource() *fakeSource {
	src := newFakeSource()
	e := endpoint(1, "one")
	e.Auth = store.Auth{Kind: store.AuthBearer, Secret: "canary-auth"}
	e.Headers, e.CreatedAt = map[string]string{"x": "canary-header"}, time.UnixMilli(1_790_000_000_123).UTC()
	e.Subscriptions = []store.Subscription{{Types: []string{"*"}}, {}}
	src.putEndpoint(e)
	src.set(func(v int64) {
		src.sources[1] = versioned[store.Source]{row: store.Source{ID: 1, Tenant: "a", Name: "s", Secrets: []store.Secret{"canary-source"}}, version: v}
		src.keys[1] = versioned[store.Key]{row: store.Key{ID: 1, Tenant: "a", Scope: store.ScopePublish, Hash: [32]byte{1}}, version: v}
	})
	return src
}

func TestCopyStandsInWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	dir, src, sealer := t.TempDir(), fullSource(), newSealer(t)
	want := savedCopy(t, dir, src, sealer)
	src.setDown(errDown)
	w, logs := newWatcher(t, Config{Dir: dir}, src, sealer)
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.Current()
	if got.Version != want.Version || !reflect.DeepEqual(got.endpoints, want.endpoints) || !reflect.DeepEqual(got.sources, want.sources) || !reflect.DeepEqual(got.keys, want.keys) {
		t.Errorf("the copy holds %+v, want %+v", got, want)
	}
	if !w.Confirmed().IsZero() {
		t.Errorf("a copy counts as confirmed: %v", w.Confirmed())
	}
	if logs.FilterLevelExact(zapcore.WarnLevel).Len() != 1 {
		t.Errorf("logged %v, want one warning", logs.All())
	}
}

func TestCopyIsSealedAndForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dir, src := t.TempDir(), fullSource()
	savedCopy(t, dir, src, newSealer(t))
	path := filepath.Join(dir, copyName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("canary")) {
		t.Error("a secret is readable in the copy")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	src.setDown(errDown)
	w, _ := newWatcher(t, Config{Dir: dir}, src, newSealer(t)) // another key
	if err := w.Load(t.Context()); !errors.Is(err, store.ErrSealed) || !errors.Is(err, errDown) {
		t.Errorf("Load with another key = %v, want %v and %v", err, errDown, store.ErrSealed)
	}
}

func TestDamagedCopyIsRefused(t *testing.T) {
	t.Parallel()
	dir, src, sealer := t.TempDir(), fullSource(), newSealer(t)
	savedCopy(t, dir, src, sealer)
	src.setDown(errDown)
	path := filepath.Join(dir, copyName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"empty": {}, "cut": raw[:len(raw)/2], "flipped": append(bytes.Clone(raw[:40]), append([]byte{raw[40] ^ 1}, raw[41:]...)...)} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		w, _ := newWatcher(t, Config{Dir: dir}, src, sealer)
		if err := w.Load(t.Context()); !errors.Is(err, store.ErrSealed) {
			t.Errorf("%s: Load = %v, want %v", name, err, store.ErrSealed)
		}
	}
}

func TestStoreThatIsBackIsReadAnew(t *testing.T) {
	t.Parallel()
	dir, src, sealer := t.TempDir(), fullSource(), newSealer(t)
	savedCopy(t, dir, src, sealer)
	synctest.Test(t, func(t *testing.T) {
		other := newFakeSource() // another store, by chance at a version not below the copy's
		for range 9 {
			other.putEndpoint(endpoint(5, "five"))
		}
		other.setDown(errDown)
		w, _ := newWatcher(t, Config{Dir: dir}, other, sealer)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		defer stop()
		other.setDown(nil)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if s := w.Current(); len(s.Endpoints()) != 1 || s.Endpoints()[0].ID != 5 || len(s.sources) != 0 || w.Confirmed().IsZero() {
			t.Errorf("after the store is back: %+v", s)
		}
	})
}

func TestSealedSecretsOfTheStoreAreNotHiddenByTheCopy(t *testing.T) {
	t.Parallel()
	dir, src, sealer := t.TempDir(), fullSource(), newSealer(t)
	savedCopy(t, dir, src, sealer)
	src.setDown(store.ErrSealed)
	w, _ := newWatcher(t, Config{Dir: dir}, src, sealer)
	if err := w.Load(t.Context()); !errors.Is(err, store.ErrSealed) {
		t.Errorf("Load = %v, want %v", err, store.ErrSealed)
	}
}

func TestManyChangesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), newSealer(t)
	synctest.Test(t, func(t *testing.T) {
		src := newFakeSource()
		w, _ := newWatcher(t, Config{Dir: dir, Poll: 10 * time.Millisecond}, src, sealer)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		time.Sleep(saveDelay)
		synctest.Wait()
		first := copyVersion(t, w)
		for i := range 50 {
			src.putEndpoint(endpoint(store.EndpointID(1+i), "e"))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if got := copyVersion(t, w); got != first {
			t.Errorf("copy at version %d half a second after the first change, want %d still", got, first)
		}
		time.Sleep(saveDelay)
		synctest.Wait()
		if got, want := copyVersion(t, w), w.Current().Version; got != want {
			t.Errorf("copy at version %d, want %d", got, want)
		}
		src.putEndpoint(endpoint(99, "last"))
		time.Sleep(10 * time.Millisecond)
		stop()
		if got, want := copyVersion(t, w), w.Current().Version; got != want || want != first+51 {
			t.Errorf("copy at version %d after the end, want %d", got, want)
		}
	})
}

func copyVersion(t *testing.T, w *Watcher) int64 {
	t.Helper()
	s, _, err := w.copy.read()
	if err != nil {
		t.Fatal(err)
	}
	return s.Version
}

func TestCopyThatCannotBeWrittenIsTriedAgainAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), newSealer(t)
	synctest.Test(t, func(t *testing.T) {
		src := fullSource()
		w, logs := newWatcher(t, Config{Dir: dir}, src, sealer)
		if err := w.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := run(t, w)
		defer stop()
		time.Sleep(saveDelay)
		synctest.Wait()
		before := copyVersion(t, w)
		moved := dir + ".moved"
		if err := os.Rename(dir, moved); err != nil {
			t.Fatal(err)
		}
		src.putEndpoint(endpoint(9, "nine"))
		time.Sleep(DefaultPoll + saveDelay)
		synctest.Wait()
		if logs.FilterLevelExact(zapcore.WarnLevel).Len() != 1 {
			t.Errorf("logged %v, want one warning", logs.All())
		}
		if err := os.Rename(moved, dir); err != nil {
			t.Fatal(err)
		}
		if got := copyVersion(t, w); got != before {
			t.Errorf("copy at version %d, want %d", got, before)
		}
		time.Sleep(saveRetry)
		synctest.Wait()
		if got, want := copyVersion(t, w), w.Current().Version; got != want {
			t.Errorf("copy at version %d, want %d", got, want)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

func TestErrorsOfACopyNameNoSecret(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), newSealer(t)
	c := &copyFile{dir, sealer}
	if err := os.WriteFile(c.path(), sealer.Seal([]byte("canary, and not gob"), copyName, "file", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.read(); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("read = %v, want an error that quotes nothing", err)
	}
}
