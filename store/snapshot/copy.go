package snapshot

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/store"
)

const (
	copyName   = "snapshot"
	copyFormat = 1
	maxCopy    = 1 << 30 // a file above it is none of ours
)

// saved is what a copy holds, sealed. Its encoding is gob: JSON would redact the secrets.
type saved struct {
	Format  int
	SavedAt time.Time
	Changes store.Changes
}

// copyFile is the last good copy of the configuration in a directory.
type copyFile struct {
	dir    string
	sealer *store.Sealer
}

func (c *copyFile) path() string { return filepath.Join(c.dir, copyName) }

// write replaces the copy: whoever reads it finds the old one or the new one, also after a power cut.
func (c *copyFile) write(s *Snapshot, now time.Time) error {
	var plain bytes.Buffer
	if err := gob.NewEncoder(&plain).Encode(saved{copyFormat, now, s.changes()}); err != nil {
		return fmt.Errorf("encode the configuration's copy: %w", err)
	}
	temporary, err := os.CreateTemp(c.dir, copyName+".*.tmp") // for its owner alone
	if err != nil {
		return fmt.Errorf("write the configuration's copy: %w", err)
	}
	_, err = temporary.Write(c.sealer.Seal(plain.Bytes(), copyName, "file", ""))
	if err == nil {
		err = temporary.Sync()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), c.path())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the configuration's copy: %w", err), remove(temporary.Name()))
	}
	return syncDir(c.dir)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the configuration's copy: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write the configuration's copy: %w", err)
	}
	return nil
}

// read reads what write wrote, and when.
func (c *copyFile) read() (*Snapshot, time.Time, error) {
	info, err := os.Stat(c.path())
	if err != nil {
		return nil, time.Time{}, err
	}
	if info.Size() > maxCopy {
		return nil, time.Time{}, fmt.Errorf("%s has %d bytes: not a copy of the configuration", c.path(), info.Size())
	}
	sealed, err := os.ReadFile(c.path())
	if err != nil {
		return nil, time.Time{}, err
	}
	plain, err := c.sealer.Open(sealed, copyName, "file", "")
	if err != nil {
		return nil, time.Time{}, err
	}
	var from saved
	if err := gob.NewDecoder(bytes.NewReader(plain)).Decode(&from); err != nil || from.Format != copyFormat {
		return nil, time.Time{}, fmt.Errorf("%s was written by another version of Sluice", c.path()) // the cause might quote it
	}
	return new(Snapshot).apply(&from.Changes), from.SavedAt, nil
}
