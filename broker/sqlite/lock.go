package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// errLocked is what lockFile returns when somebody else holds the lock.
var errLocked = errors.New("locked")

// lock keeps other processes away from the broker's file. It is a file of its own: on Unix, closing any descriptor of the
// database file would drop the locks that SQLite has on it.
type lock struct{ file *os.File }

// acquireLock locks path + ".lock", which it creates and leaves behind, with the process's id for people to read.
func acquireLock(path string) (*lock, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: lock: %w: the directory must exist and be writable for this user (see data_dir)", path, err)
	}
	if err := lockFile(f); err != nil {
		defer f.Close() //nolint:errcheck // nothing was written
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("open %s: in use by another process%s, which holds %s: stop it, or use another data_dir", path, holder(f), name)
		}
		return nil, fmt.Errorf("open %s: lock %s: %w", path, name, err)
	}
	l := &lock{file: f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: write %s: %w", path, name, err), l.release())
	}
	return l, nil
}

// sign writes the process's id over whatever an earlier holder left. A full disk is no reason to stay away: what is
// there may be about to be consumed.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil && !isDiskFull(err) {
		return err
	}
	return nil
}

func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if pid, bad := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && bad == nil {
		return fmt.Sprintf(" (pid %d)", pid)
	}
	return ""
}

// release gives the lock up. The file stays: removing it would let two processes lock two files of one name.
func (l *lock) release() error { return l.file.Close() }
