// Command sluice is the whole product: every role, and the command line that speaks to them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluicehq/sluice/pkg/config"
)

// version is stamped by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal kills: whoever sends it does not want to wait for the drain.
	defer context.AfterFunc(ctx, stop)()
	signal.Ignore(syscall.SIGPIPE) // it would end listen before it has deleted its endpoint: see stdout
	os.Exit(run(ctx, os.Args[1:], os.Stdin, &stdout{os.Stdout, stop}, os.Stderr))
}

// stdout is the standard output. When whoever reads it has gone (sluice events | head -1) the command ends, in order.
type stdout struct {
	*os.File
	end func()
}

var errReaderGone = errors.New("nobody reads the output")

// Write writes b, or fails with errReaderGone.
func (s *stdout) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		s.end()
		err = errReaderGone
	}
	return n, err
}

// WriteString is Write; io.WriteString would find that of os.File.
func (s *stdout) WriteString(text string) (int, error) { return s.Write([]byte(text)) }

// ReadFrom copies from r; io.Copy would find that of os.File.
func (s *stdout) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	var wrong *config.Error
	switch {
	case err == nil, errors.Is(err, errReaderGone):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "sluice: %v\nRun 'sluice %s--help' for usage.\n", usage.err, usage.command)
		return exitUsage
	case errors.Is(err, errSaid):
		return exitFailed
	case errors.As(err, &wrong) && len(wrong.Problems) > 1:
		fmt.Fprintf(errOut, "sluice: %d problems:\n%v\n", len(wrong.Problems), wrong)
		return exitFailed
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "sluice: interrupted")
		return exitFailed
	default:
		fmt.Fprintf(errOut, "sluice: %v\n", err)
		return exitFailed
	}
}
