package sqlite

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// TestConsumersThatKeepUpReadNothingFromTheFile: two groups share what is in memory, after the second, which lagged, has
// read what it missed from the file. Without memory for it everything comes from the file.
func TestConsumersThatKeepUpReadNothingFromTheFile(t *testing.T) {
	t.Parallel()
	for name, tailBytes := range map[string]int64{"with memory": 1 << 20, "without memory": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cfg.Streams = 1
			r.cfg.TailBytes = tailBytes
			b := r.open(t)
			fromFile := func() int { return int(testutil.ToFloat64(b.metrics.Consumed.WithLabelValues(telemetry.ReadDisk))) }
			published := 0
			publish := func(n int, to ...*reading) {
				t.Helper()
				for range n {
					published++
					m := &broker.Message{Topic: "load", Body: sealed(uint64(published))}
					if err := b.Publisher().Publish(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
				for _, r := range to {
					until(t, "messages", func() bool {
						r.mu.Lock()
						defer r.mu.Unlock()
						return len(r.bodies) == published
					})
				}
			}
			for _, group := range []string{"first", "second"} {
				if _, err := b.groupNamed(t.Context(), "load", group); err != nil {
					t.Fatal(err)
				}
			}
			first, second := newReading(), newReading()
			run(t, b, "load", "first", first)
			publish(100, first)
			run(t, b, "load", "second", second)
			publish(1, first, second)
			before := fromFile()
			publish(100, first, second)
			switch n := fromFile() - before; {
			case tailBytes > 0 && n > 0:
				t.Errorf("%d of 200 messages were read from the file, want none", n)
			case tailBytes == 0 && n != 200:
				t.Errorf("%d of 200 messages were read from the file, want all", n)
			}
		})
	}
}
