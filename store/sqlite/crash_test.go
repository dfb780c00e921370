package sqlite

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// crashEnv has a copy of this test binary be the process that is killed: "path,key".
const crashEnv = "SLUICE_TEST_CRASH_STORE"

// TestCrashChild is not a test: it records batches and prints the ids of what is durable until it is killed.
func TestCrashChild(t *testing.T) {
	path, key, ok := strings.Cut(os.Getenv(crashEnv), ",")
	if !ok {
		t.Skip("only run by TestWhatIsRecordedSurvivesKills")
	}
	sealer, err := store.ParseKeys(store.Secret(key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Path: path, Sealer: sealer}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for {
				queries, b := commonEvents(20)
				if _, err := s.Seen(t.Context(), queries); err != nil {
					t.Error(err)
					return
				}
				for _, o := range b.Outcomes {
					o.ID.Endpoint = 77
					b.Queue = append(b.Queue, store.Queued{ID: o.ID, NextAt: time.Now(), Reason: store.ReasonGate})
				}
				if err := s.Record(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
				if i == 0 { // so that kills meet retention too
					if _, err := s.Expire(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour), time.Now(), 10); err != nil {
						t.Error(err)
						return
					}
				}
				mu.Lock()
				for _, q := range queries {
					fmt.Fprintf(out, "%x %x\n", q.ID[:], q.Claim)
				}
				err := out.Flush()
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatIsRecordedSurvivesKills(t *testing.T) {
	t.Parallel()
	path, key := migrated(t), store.GenerateKey()
	var told []store.SeenQuery
	for range 6 {
		told = append(told, untilKilled(t, path, key, len(told)%7)...)
	}
	s := reopen(t, path, key)
	if len(told) < 6*20 {
		t.Fatalf("only %d events were recorded", len(told))
	}
	for i := range told {
		other := store.SeenQuery{ID: event.NewID(time.Now()), Claim: told[i].Claim, Until: time.Now().Add(time.Hour)}
		answers, err := s.Seen(t.Context(), []store.SeenQuery{{ID: told[i].ID}, other})
		if err != nil {
			t.Fatal(err)
		}
		if !answers[0].Recorded || len(answers[0].Known) != 2 || answers[1].Holder != told[i].ID {
			t.Fatalf("event %d of %d: recorded %v with %d deliveries, want 2; its claim is held by %s", i, len(told), answers[0].Recorded, len(answers[0].Known), answers[1].Holder)
		}
		if b, _, err := s.GetBody(t.Context(), told[i].ID); err != nil || len(b) != 1024 {
			t.Fatalf("body of event %d: %d bytes, %v", i, len(b), err)
		}
	}
	wantSound(t, s)
}

// untilKilled runs a child that records, kills it at some moment, and returns what it said was durable.
func untilKilled(t *testing.T, path string, key store.Secret, moment int) (told []store.SeenQuery) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashChild$") // killed by cancel
	child.Env = append(os.Environ(), crashEnv+"="+path+","+key.Reveal())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == manyEvents*(7+3*moment)/10 {
			cancel()
		}
		var q store.SeenQuery
		id, claim, ok := strings.Cut(lines.Text(), " ")
		if !ok || len(id) != 32 || len(claim) != 32 {
			continue // cut by the kill
		}
		if _, err := hex.Decode(q.ID[:], []byte(id)); err != nil {
			t.Fatal(err)
		}
		if _, err := hex.Decode(q.Claim[:], []byte(claim)); err != nil {
			t.Fatal(err)
		}
		told = append(told, q)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	return told
}

// wantSound has SQLite check every page and index.
func wantSound(t *testing.T, s *Store) {
	t.Helper()
	err := s.read(t.Context(), func(c *conn) error {
		_, err := c.prepare("PRAGMA integrity_check").one(func(st *stmt) {
			if text := st.readText(); text != "ok" {
				t.Errorf("integrity check: %s", text)
			}
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
