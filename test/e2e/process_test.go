package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one sluice that can be stopped, killed and started again on the same data.
type process struct {
	t    *testing.T
	args []string
	env  []string
	dir  string // working directory
	ops  string
	// wrapper is a command that runs the rest of its arguments in its place; usually none.
	wrapper []string

	cmd    *exec.Cmd
	exited chan struct{}
	exit   error // once exited is closed
	out    *output
}

// serve starts `sluice serve` with a configuration and waits until it is ready.
func serve(t *testing.T, dir string, c config) *process {
	t.Helper()
	p := &process{t: t, args: []string{"serve", "--config", c.write(t, dir)}, dir: dir, ops: c.listen("ops")}
	t.Cleanup(p.cleanUp)
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.waitReady()
}

func (p *process) launch() {
	p.t.Helper()
	p.out = &output{}
	words := append(append(slices.Clone(p.wrapper), binary), p.args...)
	p.cmd = exec.Command(words[0], words[1:]...)
	p.cmd.Dir, p.cmd.Env = p.dir, append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %v: %v", p.args, err)
	}
	exited, cmd := make(chan struct{}), p.cmd
	p.exited = exited
	go func() {
		p.exit = cmd.Wait()
		close(exited)
	}()
}

// readyTimeout is generous: the machine may be busy with other tests. How fast it starts is measured elsewhere.
const readyTimeout = 30 * time.Second

func (p *process) waitReady() {
	p.t.Helper()
	deadline := time.After(readyTimeout)
	for {
		resp, err := client.Get("http://" + p.ops + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("sluice %s ended before it was ready: %v", p.args[0], p.exit)
		case <-deadline:
			p.t.Fatalf("sluice %s is not ready after %v", p.args[0], readyTimeout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop sends SIGTERM and wants a clean end within 30 s.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("SIGTERM: %v", err)
	}
	select {
	case <-p.exited:
		if p.exit != nil {
			p.t.Fatalf("sluice %s after SIGTERM: %v", p.args[0], p.exit)
		}
	case <-time.After(30 * time.Second):
		p.t.Fatalf("sluice %s has not ended 30 s after SIGTERM", p.args[0])
	}
}

// kill sends SIGKILL and waits until nothing is left of the process.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("SIGKILL: %v", err)
	}
	<-p.exited
}

func (p *process) cleanUp() {
	if p.cmd == nil || p.exited == nil {
		return
	}
	_ = p.cmd.Process.Kill() // over already, if the test stopped it
	<-p.exited
	if p.t.Failed() {
		p.t.Logf("the last of what sluice %s printed:\n%s", p.args[0], p.out.tail(60))
	}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the output.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns all that was printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) tail(lines int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command of sluice to its end, at most 30 s, in an empty directory.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return runIn(t, t.TempDir(), env, args...)
}

// runIn runs a command of sluice to its end, at most 30 s, in a directory.
func runIn(t *testing.T, dir string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("sluice %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// String tells how the command ended and what it printed.
func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// tempDir is t.TempDir, but the data is kept when the test fails.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-e2e-") //nolint:usetesting // t.TempDir is removed always
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data kept in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
