package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/store"
)

func TestBrokerFaults(t *testing.T) {
	fail := func(err error) func(context.Context, []*broker.Message) error {
		return func(context.Context, []*broker.Message) error { return err }
	}
	tests := []struct {
		name    string
		preset  string
		fail    func(context.Context, []*broker.Message) error
		after   time.Duration // of the answer
		outcome string
	}{
		{"refuses", "github", fail(broker.ErrUnavailable), 0, "unavailable"},
		{"refuses this message", "github", fail(broker.PublishErrors{fmt.Errorf("disk full: %w", broker.ErrUnavailable)}), 0, "unavailable"},
		{"refuses our credentials", "github", fail(broker.ErrUnauthorized), 0, "unavailable"},
		{"has no such topic", "github", fail(broker.ErrUnknownTopic), 0, "unavailable"},
		{"is closed", "github", fail(broker.ErrClosed), 0, "unavailable"},
		{"fails in a new way", "github", fail(errors.New("unheard of")), 0, "unavailable"},
		{"does not know", "github", fail(broker.PublishErrors{broker.ErrAmbiguous}), 0, "ambiguous"},
		{"does not answer, 10 s provider", "github", slow, 2500 * time.Millisecond, "ambiguous"},
		{"does not answer, 5 s provider", "shopify", slow, 2500 * time.Millisecond, "ambiguous"},
		{"does not answer, 3 s provider", "slack", slow, 2500 * time.Millisecond, "ambiguous"},
		{"does not answer, 2 s provider", "two", slow, 1500 * time.Millisecond, "ambiguous"},
		{"does not answer, provider in a hurry", "half", slow, minPublishWait, "ambiguous"},
		{"does not answer, and says only that", "github", func(ctx context.Context, _ []*broker.Message) error { <-ctx.Done(); return ctx.Err() }, 2500 * time.Millisecond, "ambiguous"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, nil)
			for name, deadline := range map[string]string{"two": "2s", "half": "500ms"} {
				h.snapshot.add(&store.Source{Name: name, Provider: "token", Secrets: []store.Secret{testSecret}, Params: map[string]string{"deadline": deadline}})
			}
			preset := tt.preset
			if preset == "two" || preset == "half" {
				preset = "token"
			}
			h.broker.fail = tt.fail
			r, began := signed(t, preset, "/in/"+tt.preset, nil), time.Now()
			w := h.do(r)
			if took := time.Since(began); took != tt.after {
				t.Errorf("broker %s: answered after %v, want %v", tt.name, took, tt.after)
			}
			h.wantAnswer(t, w, http.StatusServiceUnavailable, "")
			if w.Header().Get("Retry-After") == "" {
				t.Errorf("broker %s: no Retry-After", tt.name)
			}
			h.wantPublished(t, 0)
			wantCount(t, h, preset, tt.outcome, 1)
			h.broker.fail = nil // healed
			h.wantAnswer(t, h.do(signed(t, preset, "/in/"+tt.preset, nil)), http.StatusOK, "")
		})
	}
}

func TestAClientThatLeavesDoesNotCallItsEventBack(t *testing.T) {
	h := newHouse(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	h.broker.fail = func(ctx context.Context, _ []*broker.Message) error {
		leave()
		return ctx.Err()
	}
	h.do(signed(t, "github", "/in/github", nil).WithContext(ctx))
	h.wantPublished(t, 1)
}

func TestTimeTheBodyTookCountsAgainstTheProvidersDeadline(t *testing.T) {
	tests := []struct{ deadline, elapsed, want time.Duration }{
		{10 * time.Second, 0, 2500 * time.Millisecond},
		{3 * time.Second, 0, 2500 * time.Millisecond},
		{3 * time.Second, time.Second, 1500 * time.Millisecond},
		{3 * time.Second, 4 * time.Second, minPublishWait},
		{time.Second, 0, 500 * time.Millisecond},
	}
	for _, tt := range tests {
		if got := publishWait(tt.deadline, tt.elapsed); got != tt.want {
			t.Errorf("publishWait(%v, %v) = %v, want %v", tt.deadline, tt.elapsed, got, tt.want)
		}
	}
}

func TestMemoryForBodiesIsBounded(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, nil)
			body := bytes.Repeat([]byte("x"), 10_000)
			request := func() *http.Request {
				r := signed(t, "github", "/in/github", body)
				if chunked {
					return withBody(r, body)
				}
				return r
			}
			if !h.bodies.TryAcquire(testBudget - 5000) {
				t.Fatal("budget is not whole")
			}
			began := time.Now()
			w := h.do(request())
			if took := time.Since(began); took != budgetWait || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
				t.Errorf("without memory: %d after %v, headers %v", w.Code, took, w.Header())
			}
			h.wantPublished(t, 0)

			go func() {
				time.Sleep(budgetWait / 2)
				h.bodies.Release(testBudget - 5000)
			}()
			h.wantAnswer(t, h.do(request()), http.StatusOK, "")
			wantCount(t, h, "github", "busy", 1)
		})
	}
}

func TestADeclaredLengthTakesNoMemory(t *testing.T) {
	h := newHouse(t, nil)
	body := bytes.Repeat([]byte("x"), 1<<20)
	r := signed(t, "github", "/in/github", body)
	src, came := r.Body, 0
	r.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
		if want := int64(testBudget - max(firstChunk, 2*came)); h.bodies.TryAcquire(want) {
			h.bodies.Release(want)
		} else {
			t.Errorf("after %d bytes more than twice that is held", came)
		}
		n, err := src.Read(p)
		came += n
		return n, err
	}))
	h.wantAnswer(t, h.do(r), http.StatusOK, "")
	if got := h.wantPublished(t, 1)[0].Body; !bytes.Equal(got, body) || cap(got) != len(body) {
		t.Errorf("%d bytes in a buffer of %d", len(got), cap(got))
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBodiesHoldTheirMemoryUntilTheBrokerHasThem(t *testing.T) {
	h := newHouse(t, nil)
	body := bytes.Repeat([]byte("x"), 100_000)
	h.broker.fail = func(context.Context, []*broker.Message) error {
		if h.bodies.TryAcquire(testBudget - int64(len(body)) + 1) {
			t.Error("memory was given back too early")
		}
		if !h.bodies.TryAcquire(testBudget - int64(len(body))) {
			t.Error("more memory is held than the body has")
		}
		h.bodies.Release(testBudget - int64(len(body)))
		return nil
	}
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", body)), http.StatusOK, "")
	h.wantPublished(t, 1)
}

func TestTooManyRequestsWaitForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		h.broker.fail = slow
		answers := make(chan int, maxPublishing+10)
		for range maxPublishing + 10 {
			r := signed(t, "token", "/in/token", []byte{})
			go func() { answers <- h.do(r).Code }()
		}
		synctest.Wait()
		if n := len(answers); n != 10 {
			t.Errorf("%d were refused at once, want 10", n)
		}
		for range maxPublishing + 10 {
			if code := <-answers; code != http.StatusServiceUnavailable {
				t.Fatalf("answer %d", code)
			}
		}
		if n := h.publishing.Load(); n != 0 {
			t.Errorf("%d still count as waiting", n)
		}
		wantCount(t, h, "token", "busy", 10)
		wantCount(t, h, "token", "ambiguous", maxPublishing)
	})
}

func TestAPanicIsA500(t *testing.T) {
	h := newHouse(t, nil)
	h.broker.fail = func(context.Context, []*broker.Message) error { panic("out of luck") }
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", nil)), http.StatusInternalServerError, "")
	if h.logs.FilterMessage("request failed").Len() != 1 {
		t.Error("it is not logged")
	}
	wantCount(t, h, "github", "failed", 1)
	if h.publishing.Load() != 0 {
		t.Error("the request still counts as waiting")
	}
}

func TestProvidersInvalidStatus(t *testing.T) {
	h := newHouse(t, nil)
	for _, name := range provider.Names() {
		w := h.do(httptest.NewRequest("POST", "/in/"+name, nil))
		if w.Code != http.StatusUnauthorized || w.Body.Len() > 0 {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		wantCount(t, h, name, "invalid", 1)
	}
}
