package sqlite

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// BenchmarkMillionQueued measures what a process pays while a million deliveries wait for one dead endpoint and a few
// for a hundred others. Run it with -benchtime 20x.
func BenchmarkMillionQueued(b *testing.B) {
	path, key, now := migrated(b), store.GenerateKey(), time.Now()
	s := reopen(b, path, key)
	fill(b, s, 50, 1_000_000, now)
	for id := store.EndpointID(100); id < 200; id++ {
		fill(b, s, id, 3, now)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	s = reopen(b, path, key)
	b.Logf("open: %v", time.Since(start))
	q := store.DueQuery{Shards: allShards(), Now: now, Room: 64, Limit: 1000, Rooms: map[store.EndpointID]int{50: 0}}
	b.Run("Due", func(b *testing.B) {
		for b.Loop() {
			if rows, err := s.Due(b.Context(), q); err != nil || len(rows) != 300 {
				b.Fatalf("%d rows, %v", len(rows), err)
			}
		}
	})
	b.Run("DueFull", func(b *testing.B) {
		full := q
		full.Rooms = nil
		full.Room = 700
		for b.Loop() {
			if rows, err := s.Due(b.Context(), full); err != nil || len(rows) != 1000 {
				b.Fatalf("%d rows, %v", len(rows), err)
			}
		}
	})
	b.Run("Depths", func(b *testing.B) {
		for b.Loop() {
			if d, err := s.Depths(b.Context(), allShards()); err != nil || d[50].Rows != 1_000_000 {
				b.Fatalf("%v, %v", d[50], err)
			}
		}
	})
	b.Run("ListDeliveries", func(b *testing.B) {
		for b.Loop() {
			if rows, err := s.ListDeliveries(b.Context(), store.DeliveryQuery{Endpoint: 50, Limit: 50}); err != nil || len(rows) != 50 {
				b.Fatalf("%d rows, %v", len(rows), err)
			}
		}
	})
	b.Logf("resident: %s", residentMemory(b))
}

func residentMemory(t testing.TB) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
