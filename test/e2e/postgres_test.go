package e2e

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
	"github.com/sluicehq/sluice/test/pgtest"
)

// What PostgreSQL, the network before it and the process go through, one after the other, under load. The gateway takes
// events all the while that its database is away.
func TestFaultsOfPostgresLoseNothing(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	proxy := pgtest.NewProxy(t, server.Addr())
	s := newStage(t, onPostgres(t, pgtest.At(proxy.Addr(), server.Database(t))))
	stop := s.producer.start(t, 150, 8)

	s.outage(t, "the server crashes", 6*time.Second, // longer than max_hold
		func() { server.Stop(t, pgtest.Immediate) }, func() { server.Start(t) })
	s.outage(t, "the server is restarted in good order", 0,
		func() { server.Stop(t, pgtest.Fast) }, func() { server.Start(t) })
	s.outage(t, "connections are reset, and no new ones made", 0, proxy.Cut, proxy.Heal)
	s.outage(t, "the network swallows everything", 12*time.Second, proxy.Silence, proxy.Heal)
	s.outage(t, "the server hangs", 0,
		func() { server.Freeze(t) }, func() { server.Thaw(t) })

	s.producer.waitAccepted(t, 100)
	s.process.kill()
	s.process.start()
	s.outage(t, "the server crashes, and the process is killed before it is back", 0,
		func() { server.Stop(t, pgtest.Immediate) },
		func() { s.process.kill(); server.Start(t); s.process.start() })
	stop()
	s.drain(t, 2*time.Minute)
	const faults = 8
	report := s.check(t, faults*duplicatesPerKill)
	t.Logf("%d duplicates over %d faults", report.Counts[ledger.Duplicate], faults)
}

// onPostgres has a gateway keep its store in a database, with the schema that it wants.
func onPostgres(t *testing.T, url string) func(config) {
	t.Helper()
	if r := run(t, []string{"SLUICE_STORE_URL=" + url}, "migrate", "up"); r.code != 0 {
		t.Fatalf("sluice migrate up: %v", r)
	}
	return func(c config) {
		c["store"] = map[string]any{"url": url}
		c["encryption_key"] = []string{base64.StdEncoding.EncodeToString(make([]byte, 32))}
	}
}

// outage takes the database away under load, for 300 events and some time at least. It wants every event that is sent
// meanwhile to be accepted, and deliveries to go on when it is back.
func (s *stage) outage(t *testing.T, name string, lasts time.Duration, begin, end func()) {
	t.Helper()
	s.producer.waitAccepted(t, 100)
	s.producer.mu.Lock()
	before := len(s.producer.sent)
	s.producer.mu.Unlock()
	begin()
	began := time.Now()
	over := time.After(lasts)
	s.producer.waitAccepted(t, 300)
	<-over
	s.producer.mu.Lock()
	for _, sent := range s.producer.sent[before:] {
		if sent.Outcome != ledger.OK {
			t.Errorf("%s: event %d is answered %d after %v", name, sent.Seq, sent.Status, sent.Ended.Sub(sent.Begun))
		}
	}
	s.producer.mu.Unlock()
	away := time.Since(began)
	end()
	arrived := len(s.receivers[0].all())
	began = time.Now()
	eventually(t, time.Minute, "deliveries go on", func() error {
		if len(s.receivers[0].all()) == arrived {
			return errors.New("nothing has arrived")
		}
		return nil
	})
	t.Logf("%s: away for %v, deliveries went on %v after", name, away.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}
