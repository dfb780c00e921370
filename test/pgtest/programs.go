package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// requireEnv turns skipped tests into failed ones, for machines that are meant to have PostgreSQL.
const requireEnv = "SLUICE_TEST_REQUIRE_POSTGRES"

// ErrMissing says that there is no PostgreSQL that could be started here.
var ErrMissing = errors.New("PostgreSQL is not installed")

const commandTime = time.Minute // for initdb, pg_basebackup and the like

// programs is an installation of PostgreSQL, and who runs it.
type programs struct {
	bin  string              // folder
	user *syscall.Credential // nil: who runs the test
}

// require finds the installed PostgreSQL, or skips the test.
func require(t testing.TB) *programs {
	t.Helper()
	p, err := installed()
	if err != nil {
		missing(t, err)
	}
	return p
}

// installed finds the installed PostgreSQL. Its errors are [ErrMissing].
func installed() (*programs, error) {
	bin, err := findBin()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	who, err := unprivileged()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return &programs{bin, who}, nil
}

// Binary returns the path of one of PostgreSQL's programs, such as pg_dump.
func Binary(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(require(t).bin, name)
}

// missing skips a test that cannot run here, or fails it where it must.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(requireEnv) != "" {
		t.Fatalf("%v, and %s is set", err, requireEnv)
	}
	t.Skipf("%v (set %s to fail instead)", err, requireEnv)
}

// findBin returns the folder of the newest installed version: Debian's place first, then PATH.
func findBin() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	best, version := "", -1.0
	for _, f := range folders {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(f)), 64)
		if err == nil && v > version && executable(filepath.Join(f, "initdb")) && executable(filepath.Join(f, "postgres")) {
			best, version = f, v
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("initdb is neither under /usr/lib/postgresql nor in PATH")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// unprivileged is who servers run as when the test runs as root, which they refuse to.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("it does not run as root, and there is neither a user postgres nor a user nobody")
}

// own gives a file to the server's user.
func (p *programs) own(path string) error {
	if p.user == nil {
		return nil
	}
	return os.Chown(path, int(p.user.Uid), int(p.user.Gid))
}

// initdb makes a data folder. Its locale is C.UTF-8's relative C, the same on every machine.
func (p *programs) initdb(data string) error {
	return p.run("initdb", "--pgdata="+data, "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8",
		"--no-locale", "--no-instructions")
}

// copyFolder copies what a stopped server left, or initdb made.
func (p *programs) copyFolder(from, to string) error { return p.run("cp", "-R", from, to) }

// run runs one of the programs, or another from PATH, to its end.
func (p *programs) run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	path := name
	if own := filepath.Join(p.bin, name); executable(own) {
		path = own
	}
	cmd := exec.CommandContext(ctx, path, args...)
	p.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// prepare lets a command run as the server's user, and without the settings of whoever runs the test.
func (p *programs) prepare(cmd *exec.Cmd) {
	cmd.Dir = os.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
}
