package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// schedule is one run of the generator: events first, first+1, … of the given types in turn.
type schedule struct {
	First   int64         `json:"first"`
	N       int64         `json:"n"`
	Rate    float64       `json:"rate"`    // events per second, at fixed times; 0: as fast as the connections answer
	For     time.Duration `json:"for"`     // stop after it whatever has been sent; 0: never
	Conns   int           `json:"conns"`   // keep-alive connections
	Types   []string      `json:"types"`   // in turn: event n is of type n modulo their number
	Measure int64         `json:"measure"` // latencies count from this event on: what comes before is warm-up
}

// progress is what became of a run so far.
type progress struct {
	Done       bool           `json:"done"`
	Sent       int64          `json:"sent"`     // taken off the schedule
	Waiting    int64          `json:"waiting"`  // of those, for a connection or for its answer
	OK         int64          `json:"ok"`       // answered 2xx
	Measured   []int64        `json:"measured"` // of those, after the warm-up and by type
	Refused    map[string]int `json:"refused"`  // other answers, by status
	Unknown    int64          `json:"unknown"`  // no answer came
	Overloaded bool           `json:"overloaded"`
	Elapsed    time.Duration  `json:"elapsed"`
	Lag        time.Duration  `json:"lag"` // how late the generator itself was at worst
	Ack        quantiles      `json:"ack"` // due → answered
}

// generateMain is the generator's process.
func generateMain(args []string) error {
	fs := flag.NewFlagSet("role-generate", flag.ContinueOnError)
	addr := fs.String("addr", "", "ingress to post to")
	path := fs.String("path", "/in/github", "path of the source")
	secret := fs.String("secret", "", "secret of the source")
	size := fs.Int("size", 1024, "bytes of a body")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run := uint32(time.Now().UnixNano()) // a new run's deliveries are never duplicates of an old one's
	g := &generator{addr: *addr, signer: func() *signer { return newSigner(*addr, *path, *secret, *size, run) }}
	defer g.wait()
	defer cancel()
	return serveOps(os.Stdin, os.Stdout, ops{
		"start":    op(func(s schedule) (any, error) { return nil, g.start(ctx, s) }),
		"progress": op(func(struct{}) (any, error) { return g.progress() }),
	})
}

// generator makes one run at a time.
type generator struct {
	addr   string
	signer func() *signer
	now    *run
}

func (g *generator) start(ctx context.Context, s schedule) error {
	if g.now != nil && !g.now.isDone() {
		return errors.New("the last run has not ended")
	}
	if len(s.Types) == 0 {
		return errors.New("no types")
	}
	g.now = &run{
		schedule: s, begin: time.Now(), acks: newLatencies(), measured: make([]atomic.Int64, len(s.Types)),
		refused: map[string]int{}, done: make(chan struct{}),
	}
	go g.now.carryOut(ctx, g.addr, g.signer)
	return nil
}

func (g *generator) progress() (progress, error) {
	if g.now == nil {
		return progress{}, errors.New("no run was started")
	}
	return g.now.progress(), nil
}

func (g *generator) wait() {
	if g.now != nil {
		<-g.now.done
	}
}

// run is one schedule being carried out.
type run struct {
	schedule
	begin time.Time
	acks  *latencies

	sent, answered, ok, unknown, lag, elapsed atomic.Int64
	measured                                  []atomic.Int64 // by type
	overloaded                                atomic.Bool

	mu      sync.Mutex
	refused map[string]int

	done chan struct{}
}

// job is one event and the moment it is due.
type job struct {
	seq int64
	due time.Time
}

func (r *run) carryOut(ctx context.Context, addr string, newSigner func() *signer) {
	defer close(r.done)
	if r.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.For)
		defer cancel()
	}
	// Two seconds of the schedule may wait for a connection. More means that the gateway cannot keep up, and the run ends.
	jobs := make(chan job, max(1024, int(2*r.Rate)))
	var clients sync.WaitGroup
	for range max(1, r.Conns) {
		clients.Go(func() { r.client(addr, newSigner(), jobs) })
	}
	if r.Rate > 0 {
		r.pace(ctx, jobs)
	} else {
		r.flood(ctx, jobs)
	}
	close(jobs)
	clients.Wait()
	r.elapsed.Store(int64(time.Since(r.begin)))
}

// pace hands out the jobs at their times. It owns a thread and sleeps in the kernel: Go's timers are 1 ms coarse.
func (r *run) pace(ctx context.Context, jobs chan<- job) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range r.N {
		due := r.begin.Add(time.Duration(float64(i) / r.Rate * 1e9))
		if early := time.Until(due); early > 0 {
			ts := syscall.NsecToTimespec(int64(early))
			_ = syscall.Nanosleep(&ts, nil) // woken early by a signal, it is early by less than its schedule's tick
		} else if int64(-early) > r.lag.Load() {
			r.lag.Store(int64(-early))
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case jobs <- job{r.First + i, due}:
			r.sent.Add(1)
		default:
			r.overloaded.Store(true)
			return
		}
	}
}

// flood hands out jobs as fast as they are taken; they are due when they are handed out.
func (r *run) flood(ctx context.Context, jobs chan<- job) {
	for i := range r.N {
		select {
		case jobs <- job{r.First + i, time.Time{}}:
			r.sent.Add(1)
		case <-ctx.Done():
			return
		}
	}
}

// client takes jobs over one connection, opened again when it breaks.
func (r *run) client(addr string, s *signer, jobs <-chan job) {
	c := &client{addr: addr}
	defer c.close()
	for j := range jobs {
		if j.due.IsZero() {
			j.due = time.Now()
		}
		kind := j.seq % int64(len(r.Types))
		status, err := c.post(s.request(j.seq, j.due.UnixNano(), r.Types[kind]))
		switch {
		case err != nil:
			r.unknown.Add(1)
			r.refuse(err)
		case status/100 == 2:
			r.ok.Add(1)
			if j.seq >= r.Measure {
				r.measured[kind].Add(1)
				r.acks.record(time.Since(j.due))
			}
		default:
			r.refuse(statusError(status))
		}
		r.answered.Add(1)
	}
}

func (r *run) refuse(err error) {
	why := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		why = "connection closed"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.refused[why]; known || len(r.refused) < 16 {
		r.refused[why]++
	}
}

func (r *run) isDone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *run) progress() progress {
	answered := r.answered.Load() // before what was sent: else there could be more of it
	p := progress{
		Done: r.isDone(), Sent: r.sent.Load(), OK: r.ok.Load(), Unknown: r.unknown.Load(), Overloaded: r.overloaded.Load(), Elapsed: time.Since(r.begin), Lag: time.Duration(r.lag.Load()), Refused: map[string]int{},
	}
	p.Waiting = p.Sent - answered
	for i := range r.measured {
		p.Measured = append(p.Measured, r.measured[i].Load())
	}
	r.mu.Lock()
	for why, n := range r.refused {
		p.Refused[why] = n
	}
	r.mu.Unlock()
	if p.Done {
		p.Elapsed, p.Ack = time.Duration(r.elapsed.Load()), quantilesOf(r.acks)
	}
	return p
}
