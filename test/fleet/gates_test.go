package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

// quiet is longer than every process takes to hear of a change of a gate or an endpoint.
const quiet = 4 * time.Second

func TestGatesAreSharedAndEachOpenPeriodHasOneProbe(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, settings) node{"in one process": startInside, "in processes": startProcess} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, r := newDatabase(t), startReceiver(t, answerTime)
			e := d.endpoint(r, "gate", "gate.test", nil)
			r.fail("gate", true)
			nodes := []node{start(t, d.node("a")), start(t, d.node("b"))}
			d.awaitShards(map[string]int{"a": 32, "b": 32})
			events := 0
			publish := func(n int) {
				for _, node := range nodes {
					node.publish(t, n)
					events += n
				}
			}

			publish(30) // both send, and either finds out
			d.awaitGate(e.ID, store.GateClosed, 1)
			wait.For(t.Context(), quiet)

			for range 3 {
				d.setState(e.ID, store.EndpointPaused)
				wait.For(t.Context(), quiet/2)
				before := r.came("gate")
				d.setState(e.ID, store.EndpointActive) // closes it anew: a probe may go at once, and fails
				publish(3)
				d.awaitGate(e.ID, store.GateClosed, 1)
				wait.For(t.Context(), quiet)
				if n := r.came("gate") - before; n != 1 {
					t.Errorf("%d attempts of both nodes in an open period, want one probe", n)
				}
			}

			before := r.came("gate")
			d.awaitGate(e.ID, store.GateClosed, 2) // the wait is over by itself
			wait.For(t.Context(), quiet)
			if n := r.came("gate") - before; n != 1 {
				t.Errorf("%d attempts of both nodes after the gate's wait, want one probe", n)
			}

			r.fail("gate", false)
			d.setState(e.ID, store.EndpointPaused)
			wait.For(t.Context(), quiet/2)
			d.setState(e.ID, store.EndpointActive)
			d.awaitGate(e.ID, store.GateOpen, 0)
			await(t, 2*time.Minute, func() bool { return d.number("SELECT count(*) FROM queue") == 0 },
				func() string {
					return fmt.Sprintf("%d deliveries still queued", d.number("SELECT count(*) FROM queue"))
				})
			publish(5)
			await(t, time.Minute, func() bool { return d.number("SELECT count(*) FROM deliveries WHERE state = 3") == events },
				func() string { return fmt.Sprintf("not all of %d events were delivered", events) })
			got := r.accepted()
			for key, came := range got {
				if len(came) != 1 {
					t.Errorf("%s was accepted %d times", key[1], len(came))
				}
			}
			if len(got) != events {
				t.Errorf("%d events were accepted, want %d", len(got), events)
			}
		})
	}
}

// setState pauses or resumes an endpoint.
func (d *database) setState(id store.EndpointID, state store.EndpointState) {
	d.t.Helper()
	if _, err := d.store.SetEndpointState(d.t.Context(), id, state, ""); err != nil {
		d.t.Fatal(err)
	}
}

// awaitGate waits until the endpoint's gate is in that state, and closed for at least the opens-th time in a row.
func (d *database) awaitGate(id store.EndpointID, state store.GateState, opens int) {
	d.t.Helper()
	var g store.Gate
	await(d.t, 2*time.Minute, func() (is bool) {
		var err error
		if g, err = d.store.GetGate(d.t.Context(), id); err != nil {
			d.t.Fatal(err)
		}
		return g.State == state && g.Opens >= opens
	}, func() string {
		return fmt.Sprintf("the gate is %s, opens %d, want %s, %d or more", g.State, g.Opens, state, opens)
	})
}
