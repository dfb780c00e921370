package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	folderPrefix = "sluice-pg-"
	// folderAge is how old a folder must be to count as left behind: one that is just made is not locked yet.
	folderAge = time.Minute
)

// folder is a temporary folder. It is locked for as long as this process lives, so that others can tell.
type folder struct {
	path string
	lock *os.File
}

// tempFolder makes a folder that the server's user owns, within another one; "" is the system's for temporary files. It
// removes what test binaries that were killed have left there.
func (p *programs) tempFolder(within string) (*folder, error) {
	if within == "" {
		within = os.TempDir()
	}
	if err := sweepFolders(within); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(within, folderPrefix)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if f.lock, err = lockFolder(path); err != nil {
		return nil, err
	}
	if err := p.own(path); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

func (f *folder) remove() error { return errors.Join(os.RemoveAll(f.path), f.lock.Close()) }

// lockFolder locks a folder unless another process has.
func lockFolder(path string) (*os.File, error) {
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func sweepFolders(within string) error {
	paths, err := filepath.Glob(filepath.Join(within, folderPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < folderAge {
			continue
		}
		lock, err := lockFolder(path)
		if err != nil {
			continue // somebody uses it, or it is somebody else's
		}
		left := folder{path, lock}
		if err := left.remove(); err != nil {
			return err
		}
	}
	return nil
}
