package control

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/store"
)

func TestSourceFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	settled := 0
	w := newWorld(t, withoutKeys, func(o *Options) {
		o.Settle = func(ctx context.Context) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("Settle has no deadline")
			}
			settled++
		}
	})
	a := w.request(http.MethodPost, "/v1/sources", "", `{"name":"shop","tenant":"acme","provider":"shopify","secrets":["`+canary+`-0123456789"],"dedupe":false}`)
	made := want[Source](t, a, http.StatusCreated)
	if made.Path != "/in/acme/shop" || made.URL != "https://hooks.example.com/in/acme/shop" || made.SecretCount != 1 || made.Dedupe || made.ManagedBy != "api" {
		t.Errorf("made %+v", made)
	}
	at := a.header.Get("Location")
	if got := want[Source](t, w.request(http.MethodGet, at, "", ""), http.StatusOK); got.ID != made.ID || got.Provider != "shopify" {
		t.Errorf("got %+v at %s, want %+v", got, at, made)
	}
	if kept := w.store.sources[len(w.store.sources)-1]; kept.Secrets[0].Reveal() != canary+"-0123456789" || kept.ManagedBy != store.ManagedByAPI {
		t.Errorf("the store got %+v", kept)
	}
	want[problem](t, w.request(http.MethodPost, "/v1/sources", "", `{"name":"shop","tenant":"acme","provider":"shopify","secrets":["0123456789abcdef"]}`), http.StatusConflict)
	want[any](t, w.request(http.MethodDelete, at, "", ""), http.StatusNoContent)
	want[problem](t, w.request(http.MethodGet, at, "", ""), http.StatusNotFound)
	want[problem](t, w.request(http.MethodDelete, at, "", ""), http.StatusNotFound)
	if settled != 2 {
		t.Errorf("settled %d times, want after the creation and the deletion", settled)
	}
}

func TestWhatTheFileManagesIsNotTheAPIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	w.store.sources[0].ManagedBy, w.store.endpoints[0].ManagedBy = store.ManagedByFile, store.ManagedByFile
	for _, path := range []string{"/v1/sources/" + w.store.sources[0].ID.String(), "/v1/endpoints/" + w.store.endpoints[0].ID.String()} {
		if p := want[problem](t, w.request(http.MethodDelete, path, "", ""), http.StatusConflict); !strings.Contains(p.Detail, "configuration file") {
			t.Errorf("%s: %q", path, p.Detail)
		}
	}
	// but its state is, whoever manages it
	want[Endpoint](t, w.request(http.MethodPost, "/v1/endpoints/"+w.store.endpoints[0].ID.String()+"/pause", "", ""), http.StatusOK)
}

func TestGeneratedSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	a := w.request(http.MethodPost, "/v1/endpoints", "", `{"name":"new","url":"https://example.com/hooks"}`)
	made := want[CreatedEndpoint](t, a, http.StatusCreated)
	if len(made.Secrets) != 1 || !strings.HasPrefix(made.Secrets[0], "whsec_") || made.SecretCount != 1 {
		t.Fatalf("made %+v, want one generated secret", made)
	}
	kept := w.store.endpoints[len(w.store.endpoints)-1]
	if kept.Secrets[0].Secret.Reveal() != made.Secrets[0] {
		t.Error("the secret that was shown is not the one that is kept")
	}
	for _, path := range []string{a.header.Get("Location"), "/v1/endpoints"} {
		if again := w.request(http.MethodGet, path, "", ""); strings.Contains(again.body, made.Secrets[0]) {
			t.Errorf("GET %s shows the secret again", path)
		}
	}
	given := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	a = w.request(http.MethodPost, "/v1/endpoints", "", `{"name":"own","url":"https://example.com/hooks","secrets":["`+given+`"]}`)
	if made := want[CreatedEndpoint](t, a, http.StatusCreated); made.Secrets != nil || strings.Contains(a.body, given) {
		t.Errorf("a secret that was given is shown: %s", a.body)
	}
	for _, line := range w.logs.All() {
		for _, f := range line.Context {
			if strings.Contains(f.String, "whsec_") {
				t.Errorf("logged %v", line)
			}
		}
	}
}

func TestEndpointShowsEverythingButItsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	e := want[Endpoint](t, w.request(http.MethodGet, "/v1/endpoints/"+w.point["acme"].ID.String(), "", ""), http.StatusOK)
	if e.SecretCount != 1 { // the other is retired
		t.Errorf("%d secrets in force, want 1", e.SecretCount)
	}
	if e.Auth != (EndpointAuth{Kind: "basic", Username: "sluice"}) || e.RateLimit == nil || *e.RateLimit != (RateLimitSpec{50, 100}) ||
		e.Timeout.String() != "15s" || e.Retry.Cap.String() != "12h" || e.State != "active" || e.MaxQueued != 7 || e.Headers["x-team"] != "billing" ||
		len(e.Subscriptions) != 1 || !slices.Equal(e.Subscriptions[0].Types, []string{"order.**"}) {
		t.Errorf("endpoint %+v", e)
	}
}

func TestEndpointStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		from       store.EndpointState
		verb       string
		status     int
		to         store.EndpointState
		wantDetail string
	}{
		{"pause stops an active one", store.EndpointActive, "pause", 200, store.EndpointPaused, ""},
		{"pause again changes nothing", store.EndpointPaused, "pause", 200, store.EndpointPaused, ""},
		{"pause does not hide that it is disabled", store.EndpointDisabled, "pause", 409, store.EndpointDisabled, "enable it first"},
		{"resume starts a paused one", store.EndpointPaused, "resume", 200, store.EndpointActive, ""},
		{"resume of an active one changes nothing", store.EndpointActive, "resume", 200, store.EndpointActive, ""},
		{"resume is not enable", store.EndpointDisabled, "resume", 409, store.EndpointDisabled, "enable it"},
		{"enable starts a disabled one", store.EndpointDisabled, "enable", 200, store.EndpointActive, ""},
		{"enable is not resume", store.EndpointPaused, "enable", 409, store.EndpointPaused, "resume it"},
		{"a deleted one cannot be resumed", store.EndpointDeleted, "resume", 404, store.EndpointDeleted, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.endpoints[0].State = tt.from
			a := w.request(http.MethodPost, "/v1/endpoints/"+w.store.endpoints[0].ID.String()+"/"+tt.verb, w.keys.add(t, "", store.ScopeAdmin), "")
			if a.status != tt.status || !strings.Contains(a.body, tt.wantDetail) {
				t.Errorf("status %d, want %d and %q: %s", a.status, tt.status, tt.wantDetail, a.body)
			}
			got := w.store.endpoints[0]
			if got.State != tt.to {
				t.Errorf("state %s, want %s", got.State, tt.to)
			}
			if changed := tt.from != tt.to; changed != (got.StateReason != "") || changed && !strings.HasSuffix(got.StateReason, " with key test") {
				t.Errorf("reason %q", got.StateReason)
			}
		})
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	for range 5 {
		w.store.quarantine = append(w.store.quarantine, store.NumberedQuarantined{Number: int64(len(w.store.quarantine) + 1)})
	}
	for path, total := range map[string]int{"/v1/sources": 2, "/v1/endpoints": 2, "/v1/events": 6, "/v1/deliveries": 4, "/v1/quarantine": 7} {
		type thing struct{ ID any }
		all := want[Page[thing]](t, w.request(http.MethodGet, path+"?limit=250", "", ""), http.StatusOK)
		if len(all.Data) != total || all.NextCursor != "" {
			t.Errorf("%s: %d of %d on one page, cursor %q", path, len(all.Data), total, all.NextCursor)
		}
		var got []thing
		cursor := ""
		for pages := 0; ; pages++ {
			page := want[Page[thing]](t, w.request(http.MethodGet, path+"?limit=1&cursor="+cursor, "", ""), http.StatusOK)
			got = append(got, page.Data...)
			if cursor = page.NextCursor; cursor == "" || pages > total {
				break
			}
		}
		if !slices.Equal(got, all.Data) {
			t.Errorf("%s: page by page %v, at once %v", path, got, all.Data)
		}
	}
}

func TestProvidersAreAllThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	page := want[Page[Provider]](t, w.request(http.MethodGet, "/v1/providers", "", ""), http.StatusOK)
	i := slices.IndexFunc(page.Data, func(p Provider) bool { return p.Name == "github" })
	if i < 0 || page.Data[i].Title == "" || !slices.Contains(page.Data[i].Samples, "push") {
		t.Errorf("providers %+v", page.Data)
	}
}

func TestQuarantineIsReadInSmallBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	for len(w.store.quarantine) < 60 {
		w.store.quarantine = append(w.store.quarantine, store.NumberedQuarantined{Number: int64(len(w.store.quarantine) + 1)})
	}
	page := want[Page[Quarantined]](t, w.request(http.MethodGet, "/v1/quarantine?limit=40", "", ""), http.StatusOK)
	if len(page.Data) != 40 || page.Data[0].ID != 60 || page.Data[39].ID != 21 {
		t.Errorf("%d rows, from %d to %d", len(page.Data), page.Data[0].ID, page.Data[39].ID)
	}
	if slices.Max(w.store.batches) > quarantineBatch {
		t.Errorf("read in batches of %v, want at most %d: each row brings 1 MiB", w.store.batches, quarantineBatch)
	}
}
