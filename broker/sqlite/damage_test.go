package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// reading is what consuming a file to its end brought.
type reading struct {
	mu     sync.Mutex
	bodies map[string][]byte // by "stream position"
	gone   map[string]bool   // reported as gaps
	wrong  []string
	moved  chan struct{}
}

func newReading() *reading {
	return &reading{bodies: map[string][]byte{}, gone: map[string]bool{}, moved: make(chan struct{}, 1)}
}

func (r *reading) Handle(ls []broker.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range ls {
		r.bodies[l.Stream()+" "+l.Position()] = l.Message().Body
		l.Ack()
	}
	r.signal()
}

func (r *reading) Gap(stream, from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var a, b int64
	if n, err := fmt.Sscan(from+" "+to, &a, &b); n != 2 || a >= b {
		r.wrong = append(r.wrong, fmt.Sprintf("gap from %s to %s: %v", from, to, err))
	}
	for p := a; p < min(b, a+100_000); p++ {
		r.gone[fmt.Sprintf("%s %d", stream, p)] = true
	}
	r.signal()
}

func (r *reading) Revoke(context.Context, []string) {}

func (r *reading) signal() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// readAll consumes the file as group until everything of want came or was reported as gone, or until something fails.
func readAll(t *testing.T, b *Broker, group string, want map[string][]byte) (*reading, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	defer stop()
	r := newReading()
	ran := make(chan error, 1)
	go func() { ran <- b.Consumer("damage", group).Run(running, r) }()
	complete := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for where := range want {
			if r.bodies[where] == nil && !r.gone[where] {
				return false
			}
		}
		return true
	}
	for !complete() {
		select {
		case <-r.moved:
		case err := <-ran:
			return r, err
		case <-ctx.Done():
			t.Errorf("%d messages came and %d were reported as gone, want %d in all", len(r.bodies), len(r.gone), len(want))
			stop()
			return r, <-ran
		}
	}
	stop()
	return r, <-ran
}

// damageable returns a closed file with messages in it that two groups have yet to settle, and what they are.
func damageable(t *testing.T) (path string, want map[string][]byte) {
	t.Helper()
	r := newRig(t)
	b := r.open(t)
	want = map[string][]byte{}
	for i := range 40 {
		m := &broker.Message{Topic: "damage", Body: sealed(uint64(i))}
		if i%2 == 0 {
			m.Key = []byte{byte(i)}
		}
		if err := b.Publisher().Publish(t.Context(), m, &broker.Message{Topic: "damage", Body: sealed(uint64(1000 + i))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, group := range damageGroups {
		if _, err := b.groupNamed(t.Context(), "damage", group); err != nil {
			t.Fatal(err)
		}
	}
	c := newReading()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.Consumer("damage", damageGroups[0]).Run(ctx, &forgetful{reading: c}) }()
	for {
		c.mu.Lock()
		n := len(c.bodies)
		for where, body := range c.bodies {
			want[where] = body
		}
		c.mu.Unlock()
		if n == 80 {
			break
		}
		<-c.moved
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.cfg.Path, want
}

var damageGroups = []string{"one", "other"}

// forgetful acks nothing.
type forgetful struct{ *reading }

type unackable struct{ broker.Lease }

func (unackable) Ack() {}

func (f *forgetful) Handle(ls []broker.Lease) {
	for _, l := range ls {
		f.reading.Handle([]broker.Lease{unackable{l}})
	}
}

// TestFlippedBitsAreNeverServedNorSkippedSilently flips one bit anywhere in the file, again and again. What comes is what
// was published; what does not is reported as a gap, or opening or consuming fails with an error that says so.
func TestFlippedBitsAreNeverServedNorSkippedSilently(t *testing.T) {
	t.Parallel()
	path, want := damageable(t)
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flips := 60
	if n, err := strconv.Atoi(os.Getenv("SLUICE_TEST_FLIPS")); err == nil {
		flips = n
	}
	seed := rand.Uint64()
	t.Logf("seed %d, file of %d bytes", seed, len(original))
	rnd := rand.New(rand.NewPCG(seed, 0))
	var clean, gaps, failed int
	for range flips {
		bit := rnd.IntN(8 * len(original))
		if rnd.IntN(2) == 0 { // header, schema, the small tables and the trees' roots
			bit = rnd.IntN(8 * 16 * pageSize)
		}
		damaged := append([]byte(nil), original...)
		damaged[bit/8] ^= 1 << (bit % 8)
		switch effect := consumeDamaged(t, damaged, want); {
		case effect == nil:
			clean++
		case effect.gaps > 0:
			gaps++
		default:
			failed++
		}
		if t.Failed() {
			t.Fatalf("bit %d of byte %d (page %d, offset %d)", bit%8, bit/8, bit/8/pageSize+1, bit/8%pageSize)
		}
	}
	t.Logf("%d flips: %d without effect, %d reported as gaps, %d as errors", flips, clean, gaps, failed)
	if gaps == 0 {
		t.Error("no flip hit a message: the test shows nothing")
	}
}

type effect struct{ gaps int }

// consumeDamaged returns nil when everything came.
func consumeDamaged(t *testing.T, file []byte, want map[string][]byte) *effect {
	t.Helper()
	r := newRig(t)
	r.cfg.Path = filepath.Join(filepath.Dir(r.cfg.Path), "damaged.db")
	if err := os.WriteFile(r.cfg.Path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := r.tryOpen(t)
	if err != nil {
		wantsHelp(t, err, r.cfg.Path)
		return &effect{}
	}
	defer b.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // the test is over
	for _, group := range damageGroups {
		got, err := readAll(t, b, group, want)
		if err != nil {
			wantsHelp(t, err, r.cfg.Path)
			return &effect{}
		}
		for where, body := range got.bodies {
			if expected, ok := want[where]; !ok || string(expected) != string(body) {
				t.Errorf("at %s came %d bytes that are not what was published (known: %v)", where, len(body), ok)
			}
		}
		for _, wrong := range got.wrong {
			t.Error(wrong)
		}
		if len(got.gone) > 0 {
			return &effect{gaps: len(got.gone)}
		}
	}
	return nil
}

func wantsHelp(t *testing.T, err error, path string) {
	t.Helper()
	if !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// TestDamagedMessageIsKeptForPeople flips a bit of one body: its neighbours of the same row come.
func TestDamagedMessageIsKeptForPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	var msgs []*broker.Message
	want := map[string][]byte{}
	for i := range 5 {
		msgs = append(msgs, &broker.Message{Topic: "damage", Key: []byte("k"), Body: []byte(fmt.Sprintf("body number %d", i))})
	}
	if err := b.Publisher().Publish(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
	topic := b.directory.Load().topics["damage"]
	s := topic.streamOf(msgs[0], 0)
	for i := range msgs {
		want[fmt.Sprintf("%s %d", s.name, i)] = msgs[i].Body
	}
	err := b.writer.do(t.Context(), func(ctx context.Context, c *conn) error {
		return c.query(ctx, `SELECT id, data FROM messages`, func(row []driver.Value) error {
			damaged := bytes.Replace(row[1].([]byte), []byte("body number 3"), []byte("Body number 3"), 1)
			return c.exec(ctx, `UPDATE messages SET data = ? WHERE id = ?`, damaged, row[0])
		})
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, b, "g", want)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.bodies) != 4 || len(got.gone) != 1 || !got.gone[s.name+" 3"] {
		t.Errorf("%d messages came and %v is gone, want 4 and the fourth", len(got.bodies), got.gone)
	}
	if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "table damaged") {
		t.Errorf("Check = %v, want it to name table damaged", err)
	}
}

// TestTruncatedLogLosesOnlyItsEnd cuts the write-ahead log anywhere, as a lying disk may after a power failure: what is
// left is the beginning of what was published, and the broker goes on behind it.
func TestTruncatedLogLosesOnlyItsEnd(t *testing.T) {
	t.Parallel()
	source := newRig(t)
	b := source.open(t)
	for i := range 30 {
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "damage", Key: []byte("k"), Body: sealed(uint64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	source.kill(t, b) // leaves a copy with all of it in the log
	file, err := os.ReadFile(source.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(source.cfg.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		r := newRig(t)
		cut := rand.IntN(len(log))
		for name, data := range map[string][]byte{r.cfg.Path: file, r.cfg.Path + "-wal": log[:cut]} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := r.open(t)
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "damage", Key: []byte("k"), Body: sealed(999)}); err != nil {
			t.Fatal(err)
		}
		s := b.directory.Load().topics["damage"].streamOf(&broker.Message{Key: []byte("k")}, 0)
		want := map[string][]byte{}
		for p := range s.end() {
			want[fmt.Sprintf("%s %d", s.name, p)] = sealed(uint64(p))
		}
		want[fmt.Sprintf("%s %d", s.name, s.end()-1)] = sealed(999)
		got, err := readAll(t, b, "g", want)
		if err != nil || len(got.gone) > 0 {
			t.Fatalf("log cut at %d: %v, gone %v", cut, err, got.gone)
		}
		for where, body := range want {
			if string(got.bodies[where]) != string(body) {
				t.Fatalf("log cut at %d: at %s came something else", cut, where)
			}
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
