package pgtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second // until a server answers; recovery after a crash is part of it
	stopTime  = 30 * time.Second // until it is killed
)

// process is one run of a server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// spawn starts a server. It dies with the test binary, even with one that is killed.
func (p *programs) spawn(logPath, path string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd := exec.Command(path, args...)
	p.prepare(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd.SysProcAttr)
	run := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends the signal when the *thread* that started the process ends: this one lives as long as it does.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			run.err = cmd.Wait()
		}
		runtime.UnlockOSThread()
		close(run.done)
	}()
	return run, <-started
}

// awaitReady polls until ready has no error, the process has ended, or startTime is over.
func (r *process) awaitReady(ready func() error) error {
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-r.done:
			return fmt.Errorf("it ended: %w", errors.Join(r.err, err))
		case <-deadline.C:
			return fmt.Errorf("not ready after %v: %w", startTime, err)
		}
	}
}

// end signals the process and waits until it has ended; it is killed when it takes too long.
func (r *process) end(sig syscall.Signal) {
	_ = r.cmd.Process.Signal(sig) // fails when it has ended
	deadline := time.NewTimer(stopTime)
	defer deadline.Stop()
	select {
	case <-r.done:
	case <-deadline.C:
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}

func (r *process) running() bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// tail is the end of a log, for messages.
func tail(path string) string {
	const most = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// freePort returns a loopback port that nobody listens on. It asks below the range that the system takes ports of
// outgoing connections from, so that a stopped server finds its port free again.
func freePort(random func(int) int) (int, error) {
	const low, high = 15000, 32000
	for range 100 {
		port := low + random(high-low)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port")
}
