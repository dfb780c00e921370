package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
)

// memoryAPI keeps endpoints in memory; tests change it between looks.
type memoryAPI struct {
	mu      sync.Mutex
	there   map[string]string // id → state
	down    error             // what every request gets
	refuses error             // what CreateEndpoint gets
	name    string            // of all of them
	made    []control.EndpointSpec
	deleted []string
}

// change changes what the API has, or how it answers.
func (a *memoryAPI) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *memoryAPI) CreateEndpoint(_ context.Context, spec control.EndpointSpec) (control.CreatedEndpoint, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := errors.Join(a.down, a.refuses); err != nil {
		return control.CreatedEndpoint{}, err
	}
	a.made = append(a.made, spec)
	id := "ep_" + strings.Repeat("1", len(a.made))
	a.there[id] = "active"
	return control.CreatedEndpoint{Endpoint: control.Endpoint{ID: id, State: "active"}}, nil
}

func (a *memoryAPI) Endpoint(_ context.Context, id string) (control.Endpoint, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down != nil {
		return control.Endpoint{}, a.down
	}
	state, ok := a.there[id]
	if !ok {
		return control.Endpoint{}, &client.Error{Status: 404, Detail: "there is none of that id"}
	}
	return control.Endpoint{ID: id, Name: cmp.Or(a.name, "listen-x"), State: state}, nil
}

func (a *memoryAPI) DeleteEndpoint(ctx context.Context, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := errors.Join(a.down, ctx.Err()); err != nil {
		return err
	}
	delete(a.there, id)
	a.deleted = append(a.deleted, id)
	return nil
}

// registered runs a registration in a bubble while during does things to the API, and returns what it said and how it ended.
func registered(t *testing.T, api *memoryAPI, during func()) (said string, err error) {
	t.Helper()
	api.there = map[string]string{}
	synctest.Test(t, func(t *testing.T) {
		out := newScreen()
		r := &registration{
			api: api, say: &lines{out: out}, every: 2 * time.Second,
			spec: control.EndpointSpec{Name: "listen-x", URL: "http://127.0.0.1:1/", Subscriptions: []control.SubscriptionSpec{{}}},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.run(ctx) }()
		synctest.Wait()
		during()
		stop()
		err = <-ended
		said = out.String()
	})
	return said, err
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestEndpointIsDeletedOnExit(t *testing.T) {
	api := &memoryAPI{}
	said, err := registered(t, api, func() { pass(time.Minute) })
	if err != nil || len(api.there) > 0 || len(api.made) != 1 || len(api.deleted) != 1 {
		t.Errorf("ended with %v, made %d, deleted %v", err, len(api.made), api.deleted)
	}
	if !strings.Contains(said, "gets everything") || !strings.Contains(said, "listen-x is deleted.") {
		t.Errorf("said %q", said)
	}
}

func TestEndpointThatSluiceForgotIsRegisteredAgain(t *testing.T) {
	api := &memoryAPI{}
	said, err := registered(t, api, func() {
		api.change(func() { delete(api.there, "ep_1") })
		pass(3 * time.Second)
		api.change(func() {
			if api.there["ep_11"] != "active" {
				t.Error("it is not there again after 3 s")
			}
		})
		api.change(func() { api.there["ep_11"] = "deleted" })
		pass(3 * time.Second)
	})
	if err != nil || len(api.made) != 3 || api.deleted[0] != "ep_111" {
		t.Errorf("ended with %v, made %d, deleted %v", err, len(api.made), api.deleted)
	}
	if strings.Count(said, "registering it again") != 2 {
		t.Errorf("said %q", said)
	}
}

func TestEndpointOfSomebodyElseWithOurIDIsLeftAlone(t *testing.T) {
	api := &memoryAPI{}
	_, err := registered(t, api, func() {
		api.change(func() { api.name = "theirs" }) // another store: the id is taken
		pass(3 * time.Second)
	})
	if err != nil || len(api.made) != 2 || len(api.deleted) > 0 {
		t.Errorf("ended with %v, made %d, deleted %v", err, len(api.made), api.deleted)
	}
}

func TestSluiceThatDoesNotAnswerIsWaitedForAndSaidOnce(t *testing.T) {
	for name, down := range map[string]error{"refused": errors.New("connection refused"), "unavailable": &client.Error{Status: 503}} {
		t.Run(name, func(t *testing.T) {
			api := &memoryAPI{}
			said, err := registered(t, api, func() {
				api.change(func() { api.down = down })
				pass(time.Minute)
				api.change(func() { api.down = nil })
				pass(3 * time.Second)
				api.change(func() { api.down, api.there = down, map[string]string{} }) // and a start anew without it
				pass(time.Minute)
				api.change(func() { api.down = nil })
				pass(3 * time.Second)
			})
			if err != nil || len(api.made) != 2 {
				t.Errorf("ended with %v, made %d", err, len(api.made))
			}
			if strings.Count(said, "does not answer") != 2 || strings.Count(said, "answers again") != 1 {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestEndpointThatCannotBeDeletedIsNamed(t *testing.T) {
	api := &memoryAPI{}
	_, err := registered(t, api, func() {
		api.change(func() { api.down = errors.New("connection refused") })
	})
	if err == nil || !strings.Contains(err.Error(), "'sluice endpoints delete listen-x'") {
		t.Errorf("ended with %v", err)
	}
}

func TestKeyThatIsWithdrawnEndsIt(t *testing.T) {
	api := &memoryAPI{}
	_, err := registered(t, api, func() {
		api.change(func() { api.down = &client.Error{Status: 401, Detail: "no valid API key"} })
		pass(3 * time.Second)
	})
	if err == nil || !strings.Contains(err.Error(), "no valid API key") {
		t.Errorf("ended with %v", err)
	}
}

func TestChangesOfStateAreSaid(t *testing.T) {
	api := &memoryAPI{}
	said, _ := registered(t, api, func() {
		api.change(func() { api.there["ep_1"] = "paused" })
		pass(time.Minute)
	})
	if strings.Count(said, "The endpoint is now paused.") != 1 {
		t.Errorf("said %q", said)
	}
}

func TestEndpointThatIsRefusedSaysWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		refuses error
		want    string
	}{
		"its name is taken": {&client.Error{Status: 409, Detail: "the tenant has one of that name already"}, "choose another --name"},
		"http and loopback are not allowed": {
			&client.Error{Status: 422, Problems: []client.Problem{{Location: "body.url", Message: "scheme http is not allowed"}}}, "network: {allow_http: true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := &memoryAPI{refuses: tc.refuses}
			_, err := registered(t, api, func() {})
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(api.deleted) > 0 {
				t.Errorf("ended with %v, deleted %v", err, api.deleted)
			}
		})
	}
}
