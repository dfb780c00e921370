package postgres

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// twoProcesses are two stores on one database.
func twoProcesses(t *testing.T) [2]*Store {
	t.Helper()
	url, key := pgtest.Shared(t).Database(t), store.GenerateKey()
	if _, err := Migrate(t.Context(), url, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return [2]*Store{open(t, url, key), open(t, url, key)}
}

func changes(t *testing.T, s *Store, since int64) store.Changes {
	t.Helper()
	ch, err := s.Changes(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// follower is what a process knows by asking for changes alone.
type follower struct {
	version   int64
	endpoints map[store.EndpointID]store.Endpoint
}

func (f *follower) follow(t *testing.T, s *Store) {
	t.Helper()
	ch := changes(t, s, f.version)
	if ch.Version < f.version || ch.Full != (f.version == 0) {
		t.Fatalf("version %d after %d, full %v", ch.Version, f.version, ch.Full)
	}
	f.version = ch.Version
	for _, e := range ch.Endpoints {
		f.endpoints[e.ID] = e
	}
	for _, id := range ch.DeletedEndpoints {
		delete(f.endpoints, id)
	}
}

func TestProcessesThatFollowVersionsKnowTheSame(t *testing.T) {
	t.Parallel()
	processes := twoProcesses(t)
	var writing, following sync.WaitGroup
	written := make(chan struct{})
	for i, s := range processes {
		for w := range 2 {
			writing.Go(func() {
				for n := range 12 {
					if err := write(t, s, fmt.Sprintf("p%d-w%d-%d", i, w, n), n); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	followers := [2]follower{}
	for i, s := range processes {
		followers[i].endpoints = map[store.EndpointID]store.Endpoint{}
		following.Go(func() {
			for {
				select {
				case <-written:
					return
				default:
					followers[i].follow(t, s)
				}
			}
		})
	}
	writing.Wait()
	close(written)
	following.Wait()
	all := map[store.EndpointID]store.Endpoint{}
	for _, e := range changes(t, processes[0], 0).Endpoints {
		all[e.ID] = e
	}
	for i, s := range processes {
		followers[i].follow(t, s)
		if !reflect.DeepEqual(followers[i].endpoints, all) {
			t.Errorf("process %d knows %d endpoints, or others, of %d", i, len(followers[i].endpoints), len(all))
		}
	}
}

// write makes an endpoint, alone or by a file, pauses it, and deletes every third.
func write(t *testing.T, s *Store, name string, n int) error {
	e := anEndpoint(name)
	if n%2 == 0 {
		if _, err := s.ApplyFile(t.Context(), nil, []store.Endpoint{e}); err != nil {
			return err
		}
		_, err := s.ApplyFile(t.Context(), nil, nil)
		return err
	}
	made, err := s.CreateEndpoint(t.Context(), e)
	if err != nil {
		return err
	}
	if _, err := s.SetEndpointState(t.Context(), made.ID, store.EndpointPaused, name); err != nil {
		return err
	}
	if n%3 != 0 {
		return nil
	}
	return s.DeleteEndpoint(t.Context(), made.ID)
}

func TestChangeIsSeenWhenItIsCommittedAndNobodyWaitsToRead(t *testing.T) {
	t.Parallel()
	processes := twoProcesses(t)
	before := changes(t, processes[1], 0)
	undo := errors.New("undo")
	for _, end := range []error{undo, nil} {
		err := processes[0].configure(t.Context(), func(e *edit) error {
			made := anEndpoint("a")
			if err := processes[0].insertEndpoint(t.Context(), e, &made); err != nil {
				return err
			}
			if ch := changes(t, processes[1], before.Version); !reflect.DeepEqual(ch, store.Changes{Version: before.Version}) {
				t.Errorf("before the commit: %+v", ch)
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		want := 0
		if end == nil {
			want = 1
		}
		ch := changes(t, processes[1], before.Version)
		if ch.Version != before.Version+int64(want) || len(ch.Endpoints) != want {
			t.Errorf("after %v: %+v, want %d endpoints", end, ch, want)
		}
	}
}
