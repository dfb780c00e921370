package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// command is a line from the driver to a role, answer the line that comes back. One is answered before the next is read.
type command struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Reply json.RawMessage `json:"reply,omitempty"`
}

// ops are what a role does on command.
type ops map[string]func(args json.RawMessage) (any, error)

// op makes one of a function with typed arguments.
func op[A any](f func(A) (any, error)) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, err
			}
		}
		return f(args)
	}
}

// serveOps answers commands from in until it ends.
func serveOps(in io.Reader, out io.Writer, o ops) error {
	lines, enc := bufio.NewScanner(in), json.NewEncoder(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("command: %w", err)
		}
		if err := enc.Encode(o.do(c)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (o ops) do(c command) answer {
	f, ok := o[c.Op]
	if !ok {
		return answer{Error: "unknown command " + c.Op}
	}
	reply, err := f(c.Args)
	if err != nil {
		return answer{Error: err.Error()}
	}
	raw, err := json.Marshal(reply)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Reply: raw}
}

// role is a process of this binary that does one job, as the driver sees it.
type role struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu  sync.Mutex // one command at a time
	out *bufio.Reader
}

// startRole starts this binary again with a role and its arguments. It is killed when ctx ends.
func startRole(ctx context.Context, name string, args ...string) (*role, error) {
	return startRoleIn(ctx, nil, name, args...)
}

// startRoleIn is startRole with more in the environment: what is secret, and so no argument.
func startRoleIn(ctx context.Context, env []string, name string, args ...string) (*role, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"role-" + name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr, cmd.WaitDelay = os.Stderr, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &role{name: name, cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// call sends a command and reads its answer into reply, which may be nil.
func (r *role) call(op string, args, reply any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(r.in).Encode(command{Op: op, Args: raw}); err != nil {
		return fmt.Errorf("%s %s: %w", r.name, op, err)
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s %s: it went away: %w", r.name, op, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("%s %s: %w", r.name, op, err)
	}
	if a.Error != "" {
		return fmt.Errorf("%s %s: %w", r.name, op, errors.New(a.Error))
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(a.Reply, reply)
}

// stop ends the role and waits for it, at most 5 s.
func (r *role) stop() error {
	err := r.in.Close() // it ends when its input does
	kill := time.AfterFunc(5*time.Second, func() { _ = r.cmd.Process.Kill() })
	defer kill.Stop()
	if err = errors.Join(err, r.cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}
