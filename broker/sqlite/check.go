package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// forgotten is how long a group may not have consumed before Check asks whether it still exists.
const forgotten = 7 * 24 * time.Hour

// Check reports every problem: the file cannot be written, the disk is nearly full, the file's structure or a message is
// damaged, a group that does not consume keeps messages from being deleted. It reads the whole structure of the file,
// for as long as ctx lasts.
func (b *Broker) Check(ctx context.Context) error {
	return errors.Join(b.checkWriter(ctx), b.checkSpace(), b.checkStructure(ctx), b.checkDamaged(ctx), b.checkGroups(ctx))
}

func (b *Broker) checkWriter(ctx context.Context) error {
	if err := b.writer.do(ctx, nil, nil); err != nil {
		return fmt.Errorf("broker file %s cannot be written: %w", b.cfg.Path, err)
	}
	return nil
}

func (b *Broker) checkSpace() error {
	dir := filepath.Dir(b.cfg.Path)
	free, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free < b.cfg.MinFree {
		return fmt.Errorf("%s: %d bytes free, below %d nothing is published: free space: %w", dir, free, b.cfg.MinFree, broker.ErrUnavailable)
	}
	return nil
}

func (b *Broker) checkStructure(ctx context.Context) error {
	var problems []error
	err := b.file.read(ctx, func(c *conn) error {
		return c.query(ctx, "PRAGMA quick_check(10)", func(row []driver.Value) error {
			what, err := text(row[0])
			if err == nil && what != "ok" {
				problems = append(problems, explain(b.cfg.Path, &damageError{what}))
			}
			return err
		})
	})
	if err != nil {
		problems = append(problems, fmt.Errorf("structure of %s: %w", b.cfg.Path, err))
	}
	return errors.Join(problems...)
}

func (b *Broker) checkDamaged(ctx context.Context) error {
	var n int64
	err := b.file.read(ctx, func(c *conn) (err error) {
		n, err = c.number(context.WithoutCancel(ctx), "SELECT count(*) FROM damaged")
		return err
	})
	if err != nil {
		return fmt.Errorf("damaged messages of %s: %w", b.cfg.Path, explain(b.cfg.Path, err))
	}
	if n > 0 {
		return fmt.Errorf("%s: %d rows were damaged and not handed out: check the disk; they are in table damaged, delete them there when you have looked", b.cfg.Path, n)
	}
	return nil
}

func (b *Broker) checkGroups(ctx context.Context) error {
	var problems []error
	for key, g := range b.directory.Load().groups {
		lags, err := b.lag(ctx, key.topic, key.name, nil)
		if err != nil {
			return fmt.Errorf("groups of %s: %w", b.cfg.Path, err)
		}
		var behind int64
		var oldest time.Time
		for _, l := range lags {
			behind += l.Messages
			if !l.Oldest.IsZero() && (oldest.IsZero() || l.Oldest.Before(oldest)) {
				oldest = l.Oldest
			}
		}
		if behind > 0 && time.Since(oldest) > forgotten && !g.running() {
			problems = append(problems, fmt.Errorf(
				"group %s of topic %s does not run, and keeps %d messages, the oldest of %s: run it, or forget it while Sluice is stopped: sqlite3 %s \"DELETE FROM groups WHERE id = %d\"",
				key.name, key.topic, behind, oldest.Format(time.DateOnly), b.cfg.Path, g.id))
		}
	}
	return errors.Join(problems...)
}
