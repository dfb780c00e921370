package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// setup is what a gateway is configured with.
type setup struct {
	Dir       string // of the configuration, the data and the log
	Ingress   string // addresses
	Control   string
	Ops       string
	Secret    string // of the source
	Endpoints []endpointSetup
	Database  *database // nil: the embedded one
}

type endpointSetup struct {
	Name, URL, Type string
	Signing         string // whsec_…
	MaxInFlight     int    // 0: adaptive
}

var configFile = template.Must(template.New("sluice.yaml").Parse(`data_dir: "{{.Dir}}/data"
ingress: {listen: "{{.Ingress}}"}
control: {listen: "{{.Control}}", auth: none}
ops: {listen: "{{.Ops}}"}
network: {allow: [127.0.0.0/8], allow_http: true}
sources:
  - {name: github, provider: github, secrets: ["{{.Secret}}"]}
endpoints:
{{- range .Endpoints}}
  - name: {{.Name}}
    url: {{.URL}}
    secrets: ["{{.Signing}}"]
    subscriptions: [{types: ["{{.Type}}"]}]
    max_queued: 10000000
{{- if .MaxInFlight}}
    max_in_flight: {{.MaxInFlight}}
{{- end}}
{{- end}}
`))

// gateway is a running sluice serve.
type gateway struct {
	setup
	binary  string
	cmd     *exec.Cmd
	exited  chan struct{}
	exit    error         // once exited is closed
	startup time.Duration // from the start of the process until it was ready
}

// newGateway writes the configuration of a gateway that start starts.
func newGateway(binary string, s setup) (*gateway, error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	s.Ingress, s.Control, s.Ops = addrs[0], addrs[1], addrs[2]
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := configFile.Execute(&b, s); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	return &gateway{setup: s, binary: binary}, os.WriteFile(filepath.Join(s.Dir, "sluice.yaml"), b.Bytes(), 0o600)
}

// freeAddrs returns addresses on the loopback interface that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// start starts the gateway and waits until it is ready, at most a minute.
func (g *gateway) start(ctx context.Context) error {
	log, err := os.OpenFile(g.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own and writes to that
	g.cmd = g.command(ctx, "serve")
	g.cmd.Stdout, g.cmd.Stderr = log, log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := g.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w (make build makes it)", g.binary, err)
	}
	g.exited = make(chan struct{})
	go func() {
		g.exit = g.cmd.Wait()
		close(g.exited)
	}()
	if err := g.ready(ctx); err != nil {
		return errors.Join(fmt.Errorf("sluice serve: %w\n%s", err, g.logTail()), g.stop())
	}
	g.startup = time.Since(begin)
	return nil
}

// migrate makes the tables of a database that is not embedded.
func (g *gateway) migrate(ctx context.Context) error {
	if out, err := g.command(ctx, "migrate", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("sluice migrate up: %w\n%s", err, out)
	}
	return nil
}

// command is one of sluice's with the configuration, and nothing that the environment has for another.
func (g *gateway) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.binary, append(args, "--config", filepath.Join(g.Dir, "sluice.yaml"))...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SLUICE_") })
	if g.Database != nil {
		cmd.Env = append(cmd.Env, g.Database.env()...)
	}
	return cmd
}

func (g *gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not ready within a minute"))
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Ops+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-g.exited:
			return fmt.Errorf("it ended before it was ready: %w", g.exit)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop asks the gateway to end, and kills it when it has not after 40 s.
func (g *gateway) stop() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // gone already: the wait below says how
	select {
	case <-g.exited:
	case <-time.After(40 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.exited
		return errors.New("sluice serve: did not end within 40 s of SIGTERM, killed")
	}
	if g.exit != nil {
		return fmt.Errorf("sluice serve: %w\n%s", g.exit, g.logTail())
	}
	return nil
}

func (g *gateway) addr() string    { return g.Ingress }
func (g *gateway) pid() int        { return g.cmd.Process.Pid }
func (g *gateway) logFile() string { return filepath.Join(g.Dir, "log") }

// logTail returns the last lines of the log.
func (g *gateway) logTail() string {
	b, err := os.ReadFile(g.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// version returns what `sluice version` prints.
func version(ctx context.Context, binary string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version: %w (make build makes it)", binary, err)
	}
	return strings.TrimSpace(string(out)), nil
}
