package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

func TestFanOutToOneGoodOneFailingTwiceAndOneDead(t *testing.T) {
	const events = 5
	dir := tempDir(t)
	good, flaky := newReceiver(t, "good", answerOK), newReceiver(t, "flaky", failFirst(2))
	retried := flaky.endpoint()
	retried.Retry = map[string]any{"base": "1s", "factor": 1}
	dead := endpoint{
		Name: "dead", URL: "http://" + freeAddrs(t, 1)[0] + "/hook", Secrets: []string{good.secret},
		Subscriptions: []subscription{{}}, Retry: map[string]any{"base": "1s", "factor": 1},
	}
	github := presets[0]
	c := newConfig(t, dir).sources(github.source()).endpoints(good.endpoint(), retried, dead)
	p := serve(t, dir, c)

	var bodies []string
	for i := range events {
		body := fmt.Sprintf(`{"seq": %d}`, i)
		h := jsonBody(github.sign(github.secret, body, time.Now()))
		h.Set("X-GitHub-Delivery", body)
		if got := post(t, "http://"+c.listen("ingress")+"/in/github", h, []byte(body)); got.status != http.StatusOK {
			t.Fatalf("event %d: got status %d", i, got.status)
		}
		bodies = append(bodies, body)
	}

	// The good one is not held up by the others, and gets each event once.
	for _, a := range good.waitOK(t, events, 5*time.Second) {
		if !a.Signed || a.Attempt != 1 || a.Seq < 0 || string(a.body) != bodies[a.Seq] {
			t.Errorf("good: got attempt %d of %q, signed rightly %v", a.Attempt, a.body, a.Signed)
		}
	}
	// The failing one gets each again, under the same id, until it takes it.
	attempts := map[string][]int{}
	for _, a := range flaky.waitOK(t, events, 60*time.Second) {
		attempts[a.EventID] = append(attempts[a.EventID], a.Attempt)
		if !a.Signed || a.Seq < 0 || string(a.body) != bodies[a.Seq] {
			t.Errorf("flaky: got %q, signed rightly %v", a.body, a.Signed)
		}
	}
	if len(attempts) != events {
		t.Errorf("flaky: got %d ids for %d events", len(attempts), events)
	}
	for id, got := range attempts {
		if !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("flaky: attempts of %s: got %v, want 1, 2, 3", id, got)
		}
	}

	// All of it can be looked up.
	a := p.api(c)
	want := map[string]string{"good": "delivered", "flaky": "delivered", "dead": "queued"}
	for _, e := range list[named](a, "/v1/endpoints", nil) {
		eventually(t, 20*time.Second, e.Name+"'s deliveries in their states", func() error {
			ds := list[delivery](a, "/v1/deliveries", url.Values{"endpoint": {e.ID}})
			if len(ds) != events {
				return fmt.Errorf("%d of %d", len(ds), events)
			}
			for _, d := range ds {
				if d.State != want[e.Name] || (e.Name == "flaky" && d.Attempts != 3) {
					return fmt.Errorf("%s is %s after %d attempts, want %s", d.ID, d.State, d.Attempts, want[e.Name])
				}
			}
			return nil
		})
	}
	if got := len(good.all()); got != events {
		t.Errorf("good: got %d attempts in the end, want %d", got, events)
	}
}
