package sqlite

import (
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		path := migrated(t)
		key := store.GenerateKey()
		s := reopen(t, path, key)
		return storetest.Harness{
			Store:   s,
			Advance: func(d time.Duration) { s.skew.Add(int64(d)) },
			Reopen: func(t *testing.T) store.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				again := reopen(t, path, key)
				again.skew.Store(s.skew.Load())
				s = again
				return s
			},
			AtRest: func(t *testing.T) (all []byte) {
				for _, suffix := range []string{"", "-wal"} {
					b, err := os.ReadFile(path + suffix)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, b...)
				}
				return all
			},
		}
	})
}

// migrated returns the path of a new store.
func migrated(t testing.TB) string {
	t.Helper()
	path := t.TempDir() + "/store.db"
	if _, err := Migrate(t.Context(), path, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return path
}

// reopen opens a store with a key and closes it at the end of the test.
func reopen(t testing.TB, path string, key store.Secret) *Store {
	t.Helper()
	sealer, err := store.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, Config{Path: path, Sealer: sealer})
}

func openWith(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg, zaptest.NewLogger(t), prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
