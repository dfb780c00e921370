package sqlite

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
)

// The test binary runs itself as the process to be killed.
const (
	childEnv = "SLUICE_TEST_CHILD" // what to be
	fileEnv  = "SLUICE_TEST_FILE"
)

// roles are what the test binary can be instead of running tests.
var roles = map[string]func(path string) error{"worker": crashWorker, "opener": openOnly}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(childEnv)]
	if !ok {
		goleak.VerifyTestMain(m)
	}
	exitWith(role(os.Getenv(fileEnv)))
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child starts the test binary as role.
func child(t *testing.T, role, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role, fileEnv+"="+file)
	cmd.Stderr = os.Stderr
	return cmd
}

// crashConfig has small limits, so that checkpoints, row splits and deletions happen all the time.
func crashConfig(path string) Config {
	cfg := Defaults(path)
	cfg.CommitEvery = 5 * time.Millisecond
	cfg.MinFree = 1 << 20 // makes for a log of 256 KiB
	cfg.Window = 512
	return cfg
}

// sealed is a body that says which message it is and shows when a byte of it is wrong.
func sealed(id uint64) []byte {
	rnd := rand.New(rand.NewPCG(id, 1))
	body := make([]byte, 12+rnd.IntN(3000))
	binary.BigEndian.PutUint64(body, id)
	for i := 8; i < len(body)-4; i++ {
		body[i] = byte(rnd.Uint32())
	}
	binary.BigEndian.PutUint32(body[len(body)-4:], crc32.ChecksumIEEE(body[:len(body)-4]))
	return body
}

func unseal(body []byte) (id uint64, err error) {
	if len(body) < 12 || crc32.ChecksumIEEE(body[:len(body)-4]) != binary.BigEndian.Uint32(body[len(body)-4:]) {
		return 0, fmt.Errorf("a body of %d bytes is not what was published", len(body))
	}
	return binary.BigEndian.Uint64(body), nil
}

// crashWorker publishes and consumes until it is killed. It prints "P id" once Publish returned nil, and "A stream
// position" before it acks.
func crashWorker(path string) error {
	ctx := context.Background()
	b, err := Open(ctx, crashConfig(path), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- b.Consumer("crash", "workers").Run(ctx, &randomAcker{}) }()
	for range 6 {
		go func() {
			for {
				id := rand.Uint64()
				m := &broker.Message{Topic: "crash", Body: sealed(id)}
				if id%3 > 0 {
					m.Key = []byte{byte(id)}
				}
				if err := b.Publisher().Publish(ctx, m); err != nil {
					failed <- err
				}
				fmt.Printf("P %d\n", id)
			}
		}()
	}
	return <-failed
}

// randomAcker acks out of order, later, and one message in a hundred never.
type randomAcker struct{}

func (a *randomAcker) Handle(ls []broker.Lease) {
	for _, i := range rand.Perm(len(ls)) {
		l := ls[i]
		if rand.IntN(100) == 0 {
			continue
		}
		ack := func() {
			fmt.Printf("A %s %s\n", l.Stream(), l.Position())
			l.Ack()
		}
		if rand.IntN(2) == 0 {
			time.AfterFunc(time.Duration(rand.IntN(10))*time.Millisecond, ack)
		} else {
			ack()
		}
	}
}
func (a *randomAcker) Revoke(context.Context, []string) {}
func (a *randomAcker) Gap(stream, from, to string) {
	fmt.Printf("G %s %s %s\n", stream, from, to)
}

// TestKilledProcessLosesNothing kills a process that publishes and consumes, again and again, at random moments.
func TestKilledProcessLosesNothing(t *testing.T) {
	kills := 15
	if testing.Short() {
		kills = 3
	}
	l := newLedger(t)
	// Both groups are known before anything is deleted.
	l.audit(0)
	for range kills {
		l.runAndKill()
		l.wantUnackedNotPassed()
		l.audit(len(l.published))
	}
	t.Logf("%d kills: %d messages published, %d acks, %d messages in the file that Publish did not answer for",
		kills, len(l.published), len(l.acked), len(l.seen)-len(l.published))
	if len(l.published) < kills*20 {
		t.Errorf("only %d messages were published: the test shows nothing", len(l.published))
	}
}

// ledger is what children said, and what came of it.
type ledger struct {
	t         *testing.T
	path      string
	published map[uint64]bool
	acked     map[string]bool   // "stream position"
	seen      map[uint64]string // by the audit: where each message lies
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	return &ledger{t: t, path: newRig(t).cfg.Path, published: map[uint64]bool{}, acked: map[string]bool{}, seen: map[uint64]string{}}
}

// runAndKill runs a worker for a moment and takes down what it said.
func (l *ledger) runAndKill() {
	l.t.Helper()
	cmd := child(l.t, "worker", l.path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var kill *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			l.t.Fatal(err)
		}
		if kill == nil { // it is up
			kill = time.AfterFunc(time.Duration(10+rand.IntN(300))*time.Millisecond, func() { cmd.Process.Kill() }) //nolint:errcheck // Wait tells
		}
		l.take(strings.TrimSuffix(line, "\n"))
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		l.t.Fatalf("the worker ended by itself: %v", err)
	}
}

func (l *ledger) take(line string) {
	l.t.Helper()
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case "P":
		id, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			l.t.Fatal(err)
		}
		l.published[id] = true
	case "A":
		l.acked[rest] = true
	default:
		l.t.Fatalf("the worker said %q", line)
	}
}

// wantUnackedNotPassed looks into the file as the killed process left it.
func (l *ledger) wantUnackedNotPassed() {
	l.t.Helper()
	ctx := context.Background()
	c, err := connector(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	cn, err := connect(ctx, c)
	if err != nil {
		l.t.Fatal(err)
	}
	s, err := loadState(ctx, cn)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cn.close(); err != nil {
		l.t.Fatal(err)
	}
	for _, g := range s.groups {
		if g.name != "workers" {
			continue
		}
		for _, st := range s.streams {
			for p := range g.positions[st.id] {
				if where := fmt.Sprintf("%d %d", st.number, p); !l.acked[where] {
					l.t.Fatalf("stream %d: the committed position is %d, and %d was never acked", st.number, g.positions[st.id], p)
				}
			}
		}
	}
}

// audit has a second group read what is new. Everything published must be there, once, as it was.
func (l *ledger) audit(want int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := Open(ctx, crashConfig(l.path), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range []string{"workers", "audit"} {
		if _, err := b.groupNamed(ctx, "crash", name); err != nil {
			l.t.Fatal(err)
		}
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	a := &auditor{ledger: l, missing: map[uint64]bool{}, all: make(chan struct{})}
	for id := range l.published {
		if l.seen[id] == "" {
			a.missing[id] = true
		}
	}
	if len(a.missing) == 0 {
		close(a.all)
	}
	go func() { done <- b.Consumer("crash", "audit").Run(running, a) }()
	select {
	case <-a.all:
	case <-ctx.Done():
		l.t.Errorf("of %d messages that were published, %d are not there", want, len(a.missing))
	}
	stop()
	if err := <-done; err != nil {
		l.t.Error(err)
	}
	if err := b.Close(ctx); err != nil {
		l.t.Error(err)
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

type auditor struct {
	ledger  *ledger
	mu      sync.Mutex
	missing map[uint64]bool
	all     chan struct{}
}

func (a *auditor) Handle(ls []broker.Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range ls {
		id, err := unseal(l.Message().Body)
		if err != nil {
			a.ledger.t.Error(err)
		}
		where := l.Stream() + " " + l.Position()
		if was := a.ledger.seen[id]; was != "" && was != where {
			a.ledger.t.Errorf("message %d lies at %s and at %s", id, was, where)
		}
		a.ledger.seen[id] = where
		if a.missing[id] {
			if delete(a.missing, id); len(a.missing) == 0 {
				close(a.all)
			}
		}
		l.Ack()
	}
}
func (a *auditor) Revoke(context.Context, []string) {}
func (a *auditor) Gap(stream, from, to string) {
	a.ledger.t.Errorf("gap in stream %s from %s to %s", stream, from, to)
}
