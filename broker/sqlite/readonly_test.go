//go:build unix

package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadOnlyDirectoryIsAClearError(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a process as somebody who may not write")
	}
	// In a directory that everybody may enter: t.TempDir's parents are root's alone.
	dir, err := os.MkdirTemp("", "read-only") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "test")
	if data, err := os.ReadFile(os.Args[0]); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "broker.db")
	openAsNobody := func() (output string, ok bool) {
		cmd := child(t, "opener", path)
		cmd.Path = binary
		var out strings.Builder
		cmd.Stderr = &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Skipf("cannot run a program of %s as somebody else: %v", dir, err)
		}
		return out.String(), err == nil
	}
	out, ok := openAsNobody()
	if ok || !strings.Contains(out, "permission denied") || !strings.Contains(out, "writable") {
		t.Errorf("opening in a read-only directory: ok %v, %q, want permission denied and what to do", ok, out)
	}
	// With the files there already, made by somebody else.
	if out, ok := openInChild(t, path); !ok {
		t.Fatal(out)
	}
	for _, name := range []string{path, path + ".lock"} {
		if err := os.Chmod(name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if out, ok = openAsNobody(); ok || !strings.Contains(out, path) {
		t.Errorf("opening a file in a read-only directory: ok %v, %q, want an error that names the file", ok, out)
	}
}
