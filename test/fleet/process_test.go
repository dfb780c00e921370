package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

const (
	nodeVariable = "SLUICE_FLEET_NODE"        // settings of a node in JSON
	keyVariable  = "SLUICE_FLEET_KEY"         // its encryption key
	readyLine    = "this node is ready\n"     // what it prints once it runs
	publishLine  = "publish %d\n"             // what it reads
	publishedAt  = "this node published %d\n" // and prints then
)

// nodeMain is the whole program of a node's process: it runs until SIGTERM, and publishes what its standard input says.
func nodeMain(text string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := settings{Key: store.Secret(os.Getenv(keyVariable))}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err = s.run(ctx, log, func(publish func(int) error) {
		fmt.Print(readyLine)
		go func() { // ends with the process
			for in := bufio.NewReader(os.Stdin); ; {
				var n int
				if _, err := fmt.Fscanf(in, publishLine, &n); err != nil {
					return
				}
				if err := publish(n); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(2)
				}
				fmt.Printf(publishedAt, n)
			}
		}()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a node in a process of its own.
type process struct {
	name   string
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Reader
	exited chan struct{}
	exit   error // once exited is closed
	said   lockedBuffer
}

func startProcess(t *testing.T, s settings) node {
	t.Helper()
	return launch(t, s)
}

func launch(t *testing.T, s settings) *process {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: s.Name, exited: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), nodeVariable+"="+string(text), keyVariable+"="+s.Key.Reveal())
	p.cmd.Stderr = &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.in, p.out = outWrite, in, bufio.NewReader(outRead)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	outWrite.Close()
	go func() {
		p.exit = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		outRead.Close()
		if t.Failed() {
			t.Logf("node %s said:\n%s", p.name, p.said.tail())
		}
	})
	p.expect(t, readyLine)
	return p
}

// expect waits for a line of the process.
func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); err != nil || line != want {
		t.Fatalf("node %s printed %q, %v, want %q:\n%s", p.name, line, err, want, p.said.tail())
	}
}

func (p *process) publish(t *testing.T, n int) {
	t.Helper()
	if _, err := fmt.Fprintf(p.in, publishLine, n); err != nil {
		t.Fatal(err)
	}
	p.expect(t, fmt.Sprintf(publishedAt, n))
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.exit != nil {
		t.Errorf("node %s ended: %v", p.name, p.exit)
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// lockedBuffer keeps what a process says.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.String()
	return text[max(0, len(text)-4096):]
}
