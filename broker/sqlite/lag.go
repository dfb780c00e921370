package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// lag returns how far a group is behind in each stream of a topic; nothing when there is no such topic. A group that is
// not known yet is behind by all that is kept.
func (b *Broker) lag(ctx context.Context, topicName, groupNamed string, m *member) ([]broker.Lag, error) {
	d := b.directory.Load()
	t := d.topics[topicName]
	if t == nil {
		return nil, nil
	}
	g := d.groups[groupName{topicName, groupNamed}]
	lags := make([]broker.Lag, len(t.streams))
	err := b.file.read(ctx, func(c *conn) error {
		for i, s := range t.streams {
			lag, err := s.lag(context.WithoutCancel(ctx), c, g)
			if err != nil {
				return err
			}
			lags[i] = lag
		}
		return nil
	})
	if err != nil {
		return nil, explain(b.cfg.Path, err)
	}
	if g != nil && m != nil {
		for _, p := range g.owned(m) {
			lags[p.stream.number].Unsettled, _ = p.tenure.Load().window.Unsettled()
		}
	}
	return lags, nil
}

const (
	selectFirst = `SELECT coalesce(min(id), -1) FROM messages WHERE id BETWEEN ? AND ?`
	selectTime  = `SELECT time FROM messages WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1`
)

func (s *stream) lag(ctx context.Context, c *conn, g *group) (broker.Lag, error) {
	lag := broker.Lag{Stream: s.name}
	base, end := rowID(s.id, 0), s.end()
	committed := end
	if g != nil {
		committed = g.savedPosition(s.number)
	} else if first, err := c.number(ctx, selectFirst, base, base+maxPosition); err != nil {
		return lag, err
	} else if first >= 0 {
		committed = first - base
	}
	lag.Messages = max(end-committed, 0)
	if lag.Messages == 0 {
		return lag, nil
	}
	err := c.query(ctx, selectTime, func(row []driver.Value) error {
		ms, err := integer(row[0])
		lag.Oldest = time.UnixMilli(ms).UTC()
		return err
	}, base, base+committed)
	return lag, err
}
