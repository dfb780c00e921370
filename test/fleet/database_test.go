package fleet

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/postgres"
	"github.com/sluicehq/sluice/test/pgtest"
)

// database is what the nodes of one fleet share.
type database struct {
	t      *testing.T
	server *pgtest.Server
	url    string
	name   string
	key    store.Secret
	store  *postgres.Store // of the test itself
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{t: t, server: pgtest.Shared(t), key: store.GenerateKey()}
	d.url = d.server.Database(t)
	path, _, _ := strings.Cut(d.url, "?")
	d.name = path[strings.LastIndex(path, "/")+1:]
	if _, err := postgres.Migrate(t.Context(), d.url, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	sealer, err := store.ParseKeys(d.key)
	if err != nil {
		t.Fatal(err)
	}
	d.store, err = postgres.Open(t.Context(), postgres.Config{URL: d.url, Sealer: sealer, History: history}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// node returns the settings of a node of that name.
func (d *database) node(name string) settings {
	return settings{URL: d.url, Key: d.key, Dir: d.t.TempDir(), Name: name}
}

// endpoint makes an endpoint that gets events of one type.
func (d *database) endpoint(r *receiver, name, kind string, change func(*store.Endpoint)) store.Endpoint {
	d.t.Helper()
	e := store.Endpoint{
		Tenant: event.DefaultTenant, Name: name, URL: r.server.URL + "/" + name, MaxQueued: store.DefaultMaxQueued, Timeout: store.DefaultTimeout,
		Secrets:       []store.SigningSecret{{Secret: store.Secret(webhook.GenerateSecret())}},
		Subscriptions: []store.Subscription{{Types: []string{kind}}}, Retry: store.DefaultRetry(), ManagedBy: store.ManagedByAPI,
	}
	if change != nil {
		change(&e)
	}
	made, err := d.store.CreateEndpoint(d.t.Context(), e)
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

// queue records an event with a row of the queue for each endpoint, and returns its id.
func (d *database) queue(ctx context.Context, endpoints []store.Endpoint) (event.ID, error) {
	e := newEvent("queue.test")
	b := &store.Batch{Events: []store.EventRow{{Event: e, Matched: len(endpoints)}}}
	for i := range endpoints {
		b.Queue = append(b.Queue, store.Queued{
			ID: store.DeliveryID{Event: e.ID, Endpoint: endpoints[i].ID}, Size: len(e.Body), NextAt: e.Time, Reason: store.ReasonGate,
		})
	}
	return e.ID, d.store.Record(ctx, b)
}

// number asks for one.
func (d *database) number(query string) int {
	d.t.Helper()
	n, err := strconv.Atoi(d.server.Exec(d.t, d.name, query)[0][0])
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// awaitShards waits until each node has that many shards.
func (d *database) awaitShards(want map[string]int) {
	d.t.Helper()
	got := map[string]int{}
	await(d.t, time.Minute, func() bool {
		clear(got)
		for _, row := range d.server.Exec(d.t, d.name, "SELECT owner, count(*) FROM shards WHERE owner IS NOT NULL GROUP BY owner") {
			got[row[0]], _ = strconv.Atoi(row[1])
		}
		return maps.Equal(got, want)
	}, func() string { return fmt.Sprintf("shards are %v, want %v", got, want) })
}

// await waits for a condition.
func await(t *testing.T, patience time.Duration, is func() bool, what func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) || !wait.For(t.Context(), 50*time.Millisecond) {
			t.Fatalf("after %v: %s", patience, what())
		}
	}
}
