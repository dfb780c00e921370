package control

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

func TestEventsAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	second := start.Add(time.Second).Format(time.RFC3339)
	w.store.events[0].Event.Key = "acme-2" // the given id of another event
	both := &w.store.events[4].Event
	both.Key, both.GivenID = "both", "both"
	tests := []struct {
		name, query string
		want        []string // types, with their tenants
	}{
		{"all, newest first", "tenant=acme", []string{"acme order.2", "acme order.1", "acme order.0"}},
		{"by type", "tenant=acme&type=order.1", []string{"acme order.1"}},
		{"by source", "source=gitlab", nil},
		{"since is inclusive", "tenant=acme&since=" + second, []string{"acme order.2", "acme order.1"}},
		{"until is exclusive", "tenant=acme&until=" + second, []string{"acme order.0"}},
		{"by id", "q=" + w.event["acme"].String(), []string{"acme order.2"}},
		{"by id of another tenant's", "tenant=default&q=" + w.event["acme"].String(), nil},
		{"by id, of another type", "type=order.1&q=" + w.event["acme"].String(), nil},
		{"by id, accepted later", "since=" + start.Add(time.Hour).Format(time.RFC3339) + "&q=" + w.event["acme"].String(), nil},
		{"by an id that nothing has", "q=evt_" + strings.Repeat("0", 25) + "1", nil},
		{"by given id and by key", "q=acme-2", []string{"acme order.2", "default order.0"}},
		{"once, where both are the same", "tenant=acme&q=both", []string{"acme order.1"}},
		{"by key, within a tenant", "tenant=acme&q=customer-1", []string{"acme order.2", "acme order.0"}},
		{"never by a part", "q=customer", nil},
		{"by what looks like SQL", "q=" + url.QueryEscape("' OR 1=1 --%"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for cursor, pages := "", 0; pages < 10; pages++ {
				page := want[Page[Event]](t, w.request(http.MethodGet, "/v1/events?limit=1&cursor="+cursor+"&"+tt.query, "", ""), http.StatusOK)
				for _, e := range page.Data {
					got = append(got, e.Tenant+" "+e.Type)
				}
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
			all := want[Page[Event]](t, w.request(http.MethodGet, "/v1/events?"+tt.query, "", ""), http.StatusOK)
			if len(all.Data) != len(tt.want) {
				t.Errorf("%d on one page, want %d", len(all.Data), len(tt.want))
			}
		})
	}
}

func TestEventHasItsDeliveriesAndDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	e := want[EventDetail](t, w.request(http.MethodGet, "/v1/events/"+w.event["acme"].String(), "", ""), http.StatusOK)
	if e.Duplicates != 2 || e.Method != "POST" || e.Query != "a=b" || e.Headers["x-github-event"] != "push" || e.DeliveriesCursor != "" {
		t.Errorf("event %+v", e)
	}
	if len(e.Deliveries) != 2 || e.Deliveries[0].ID != w.queued["acme"].String() || e.Deliveries[1].ID != w.finish["acme"].String() {
		t.Errorf("deliveries %+v", e.Deliveries)
	}
}

func TestEventWithManyDeliveriesSaysWhereTheRestIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	id := w.event["acme"]
	for n := range 300 {
		w.store.deliveries = append(w.store.deliveries, store.Delivery{ID: store.DeliveryID{Event: id, Endpoint: store.EndpointID(100 + n)}})
	}
	e := want[EventDetail](t, w.request(http.MethodGet, "/v1/events/"+id.String(), "", ""), http.StatusOK)
	rest := want[Page[Delivery]](t, w.request(http.MethodGet, "/v1/deliveries?limit=250&event="+id.String()+"&cursor="+e.DeliveriesCursor, "", ""), http.StatusOK)
	if len(e.Deliveries) != 250 || len(rest.Data) != 52 || rest.NextCursor != "" {
		t.Errorf("%d with the event, %d behind, cursor %q", len(e.Deliveries), len(rest.Data), rest.NextCursor)
	}
}

func TestBodyIsADownloadOfTheExactBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	path := "/v1/events/" + w.event["acme"].String() + "/body"
	a := w.request(http.MethodGet, path, "", "")
	if a.status != 200 || a.body != "\x00\xff<b" {
		t.Errorf("status %d, body %q", a.status, a.body)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="` + w.event["acme"].String() + `"`,
		"X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != value {
			t.Errorf("%s %q, want %q", name, got, value)
		}
	}
	for range 2 * maxDownloads { // none keeps its place
		w.request(http.MethodGet, path, "", "")
	}
	delete(w.store.bodies, w.event["acme"])
	for range 2 * maxDownloads {
		want[problem](t, w.request(http.MethodGet, path, "", ""), http.StatusGone)
	}
}

func TestOnlyHarmlessContentTypesAreKept(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"application/json":                  "application/json",
		"Application/JSON; charset=utf-8":   "application/json",
		"text/plain":                        "text/plain",
		"application/x-www-form-urlencoded": "application/x-www-form-urlencoded",
		"text/html":                         octets,
		"text/html,application/json":        octets,
		"image/svg+xml":                     octets,
		"application/xml":                   octets,
		"text/javascript":                   octets,
		"application/xhtml+json":            octets,
		"application/json\r\nX-Evil: 1":     octets,
		"":                                  octets,
	} {
		if got := harmlessType(given); got != want {
			t.Errorf("harmlessType(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestDeliveriesAreFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	done, waits := w.finish["acme"].String(), w.queued["acme"].String()
	late := start.Add(time.Hour).Format(time.RFC3339)
	tests := map[string][]string{
		"tenant=acme":                                      {waits, done},
		"tenant=acme&state=queued":                         {waits},
		"tenant=acme&state=delivered":                      {done},
		"tenant=acme&state=dead":                           nil,
		"endpoint=" + w.point["acme"].ID.String():          {waits, done},
		"event=" + w.event["acme"].String():                {waits, done},
		"tenant=default&event=" + w.event["acme"].String(): nil,
		"tenant=acme&since=" + late:                        nil,
		"tenant=acme&until=" + late:                        {waits, done},
	}
	for query, ids := range tests {
		page := want[Page[Delivery]](t, w.request(http.MethodGet, "/v1/deliveries?"+query, "", ""), http.StatusOK)
		var got []string
		for _, d := range page.Data {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%s: %q, want %q", query, got, ids)
		}
	}
	for _, query := range []string{"state=parked", "endpoint=src_0000001", "event=x", "since=yesterday", "until=2026-13-01T00:00:00Z"} {
		want[problem](t, w.request(http.MethodGet, "/v1/deliveries?"+query, "", ""), http.StatusUnprocessableEntity)
	}
}

func TestAttemptsEndWithTheSuccessfulOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	d := want[DeliveryDetail](t, w.request(http.MethodGet, "/v1/deliveries/"+w.finish["acme"].String(), "", ""), http.StatusOK)
	if len(d.Attempts) != 3 || d.AttemptCount != 3 || d.Endpoint != w.point["acme"].ID.String() {
		t.Fatalf("delivery %+v", d)
	}
	if first := d.Attempts[0]; first.Delivered || first.Status != 500 || first.Excerpt != "oh\uFFFDno" || first.DurationMS != 1000 {
		t.Errorf("first attempt %+v", first)
	}
	last := d.Attempts[2]
	if want := (Attempt{Number: 3, Started: start.Add(time.Minute - 250*time.Millisecond), DurationMS: 250, Delivered: true, Status: 204}); last != want {
		t.Errorf("last attempt %+v, want %+v", last, want)
	}
	waits := want[DeliveryDetail](t, w.request(http.MethodGet, "/v1/deliveries/"+w.queued["acme"].String(), "", ""), http.StatusOK)
	if len(waits.Attempts) != 0 || waits.NextAt.IsZero() || waits.LastStatus != 500 {
		t.Errorf("queued delivery %+v", waits)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	again := want[Delivery](t, w.request(http.MethodPost, "/v1/deliveries/"+w.queued["acme"].String()+"/retry", "", ""), http.StatusAccepted)
	if again.ID != w.queued["acme"].String() || again.NextAt.Equal(start.Add(time.Hour)) {
		t.Errorf("a queued delivery became %+v, want the same one, due now", again)
	}
	other := w.finish["default"]
	again = want[Delivery](t, w.request(http.MethodPost, "/v1/deliveries/"+other.String()+"/retry", "", ""), http.StatusAccepted)
	if other.Replay = 2; again.ID != other.String() || again.State != "queued" || again.Reason != "manual" {
		t.Errorf("a finished delivery became %+v, want a new one, %s", again, other)
	}
	clear(w.store.bodies)
	want[problem](t, w.request(http.MethodPost, "/v1/deliveries/"+other.String()+"/retry", "", ""), http.StatusGone)
}
