package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// spaceGuard keeps some of the disk free. Without it, a disk that the broker itself filled could never be emptied: to
// settle and delete, the log needs room, and so does the file when the log is copied into it.
type spaceGuard struct {
	minFree int64
	looked  time.Time
	free    int64 // when last looked
	emptied time.Time
}

// errReserve says that what is free is needed to settle and delete.
var errReserve = errors.New("not enough free space")

const (
	lookEvery = 100 * time.Millisecond // while there is plenty
	plenty    = 256 << 20              // above minFree: more than is written in that time
)

// check reports whether adds bytes more may go into the log. There has to be room for them twice, in the log and in the
// file, without touching the reserve; or free pages in the file, which deleting left, and room for the log.
func (g *spaceGuard) check(ctx context.Context, f *file, adds int64, now time.Time) error {
	if g.minFree == 0 {
		return nil
	}
	if g.free < g.minFree+plenty || now.Sub(g.looked) >= lookEvery {
		if err := g.look(f, now); err != nil {
			return nil //nolint:nilerr // a system that cannot tell has no guard; the disk says itself when it is full
		}
	}
	if g.free-2*adds >= g.minFree {
		return nil
	}
	pages, err := f.writer.number(ctx, "PRAGMA freelist_count")
	if err != nil {
		return err
	}
	if pages*pageSize >= adds {
		if g.free-adds >= g.minFree/2 {
			return nil
		}
		// The log has grown into the reserve. Give its room back; most of it is not needed at a time.
		if g.emptyLog(ctx, f, now) == nil && g.look(f, now) == nil && g.free-adds >= g.minFree/2 {
			return nil
		}
	}
	return fmt.Errorf("%w: %d bytes are free, %d are kept for what is stored already; consuming that helps, too", errReserve, g.free, g.minFree)
}

func (g *spaceGuard) look(f *file, now time.Time) (err error) {
	g.free, err = freeSpace(filepath.Dir(f.path))
	g.looked = now
	return err
}

// emptyLog copies the log into the file and cuts it to nothing, if that was not tried just before.
func (g *spaceGuard) emptyLog(ctx context.Context, f *file, now time.Time) error {
	if now.Sub(g.emptied) < lookEvery {
		return errReserve
	}
	g.emptied = now
	return f.copyAlone(func() error {
		_, _, err := checkpoint(ctx, f.writer, "TRUNCATE")
		return err
	})
}
