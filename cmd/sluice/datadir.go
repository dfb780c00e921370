package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/store"
)

const (
	lockFile  = "lock"
	keyFile   = "encryption.key"
	storeFile = "store.db"
)

var errInUse = errors.New("in use by another sluice")

// openDataDir makes the directory if need be and locks it for this process. The lock goes with the process, however it
// ends.
func openDataDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dataDirProblem(dir, "cannot be made", err)
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, dataDirProblem(dir, "cannot be written to", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		f.Close() //nolint:errcheck // it was only read
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, dataDirProblem(dir, "cannot be locked", err)
		}
		return nil, advise(fmt.Errorf("data_dir: %s is %w, process %s", dir, errInUse, holder[:n]),
			"stop that one first, or set data_dir, or SLUICE_DATA_DIR, to another directory")
	}
	f.Truncate(0)                                     //nolint:errcheck // only told to people
	f.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0) //nolint:errcheck // only told to people
	return func() { f.Close() }, nil                  //nolint:errcheck // nothing was written that matters
}

// dataDirProblem says why a data directory is of no use, and what to do.
func dataDirProblem(dir, what string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	do := "set data_dir, or SLUICE_DATA_DIR, to a directory that this user may write"
	switch {
	case errors.Is(err, fs.ErrPermission):
		do = "let this user write there (chown), or " + do
	case errors.Is(err, unix.EROFS):
		do = "its file system is mounted read-only: mount it to be written, or " + do
	case errors.Is(err, unix.ENOSPC):
		do = "its disk is full: make room, or " + do
	}
	return advise(fmt.Errorf("data_dir: %s %s: %w", dir, what, err), "%s", do)
}

// openSealer returns what seals secrets: the configured keys, or the one in data_dir, which is made if may is set.
func openSealer(cfg *config.Config, may bool) (*store.Sealer, error) {
	sealer, err := cfg.Sealer()
	if err != nil || sealer != nil {
		return sealer, err
	}
	path := filepath.Join(cfg.DataDir, keyFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && may:
		text = []byte(store.GenerateKey().Reveal())
		if err := writeKey(path, text); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("encryption_key: none is set and there is no %s: set SLUICE_ENCRYPTION_KEY (openssl rand -base64 32)", path)
	default:
		return nil, fmt.Errorf("encryption key: %w", err)
	}
	sealer, err = store.ParseKeys(store.Secret(text))
	if err != nil {
		return nil, fmt.Errorf("encryption key %s: %w", path, err)
	}
	return sealer, nil
}

// writeKey keeps the key so that it is there whole or not at all: without it every secret is lost.
func writeKey(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("encryption key: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("encryption key: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
