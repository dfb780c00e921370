package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// directory lists the topics and groups of the file. It is never changed: the writer swaps it for another.
type directory struct {
	topics  map[string]*topic
	streams []*stream
	groups  map[groupName]*group
}

type groupName struct{ topic, name string }

// adopt takes over what the file says: everything when it was opened, something new when that was committed. It runs
// before the writer or on its goroutine.
func (b *Broker) adopt(s *state) {
	was := b.directory.Load()
	d := &directory{topics: maps.Clone(was.topics), groups: maps.Clone(was.groups), streams: slices.Clone(was.streams)}
	topics, streams := map[int64]*topic{}, map[int64]*stream{}
	for _, t := range d.topics {
		topics[t.id] = t
	}
	for _, st := range d.streams {
		streams[st.id] = st
	}
	for _, r := range s.topics {
		if topics[r.id] == nil {
			topics[r.id] = &topic{id: r.id, name: r.name, streams: make([]*stream, r.streams)}
			d.topics[r.name] = topics[r.id]
		}
	}
	for _, r := range s.streams {
		st := streams[r.id]
		if st == nil {
			st = newStream(topics[r.topic], r, &b.cfg)
			st.topic.streams[r.number] = st
			d.streams = append(d.streams, st)
		}
		b.takeOver(st, r)
	}
	for _, r := range s.groups {
		t := topics[r.topic]
		key := groupName{t.name, r.name}
		g := d.groups[key]
		if g == nil {
			g = newGroup(t, r)
			d.groups[key] = g
			t.groups = append(t.groups, g)
		}
		g.takeOver(r)
	}
	b.directory.Store(d)
	for _, st := range d.streams {
		b.writer.raiseFloor(st)
	}
}

// takeOver moves a stream to where the file has it.
func (b *Broker) takeOver(s *stream, r streamRow) {
	s.first, s.floor, s.halted = r.first, r.first, r.first
	switch next := s.end(); {
	case r.next > next: // what was ambiguous is there
		s.grow(nil, r.next)
	case r.next < next:
		b.log.Error("the broker's file lost messages that were durable; they come as a gap",
			telemetry.Topic(s.topic.name), telemetry.Stream(s.name), zap.Int64("messages", next-r.next))
	}
}

// topicNamed returns the topic called name, which it makes if there is none.
func (b *Broker) topicNamed(ctx context.Context, name string) (*topic, error) {
	if t := b.directory.Load().topics[name]; t != nil {
		return t, nil
	}
	var made *state
	err := b.writer.do(ctx, func(ctx context.Context, c *conn) (err error) {
		made = nil
		if b.directory.Load().topics[name] == nil { // nobody was faster
			made, err = insertTopic(ctx, c, name, b.cfg.Streams)
		}
		return err
	}, func() {
		if made != nil {
			b.adopt(made)
			b.log.Info("topic made", telemetry.Topic(name), zap.Int("streams", b.cfg.Streams))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("make topic %s: %w", name, err)
	}
	return b.directory.Load().topics[name], nil
}

const (
	nextTopic    = `SELECT coalesce(max(id), 0) + 1 FROM topics`
	nextStream   = `SELECT coalesce(max(id), 0) + 1 FROM streams`
	nextGroup    = `SELECT coalesce(max(id), 0) + 1 FROM groups`
	insertTopics = `INSERT INTO topics (id, name, streams, sum) VALUES (?, ?, ?, ?)`
	insertStream = `INSERT INTO streams (id, topic, number, first, next, sum) VALUES (?, ?, ?, 0, 0, ?)`
	insertGroups = `INSERT INTO groups (id, topic, name, sum) VALUES (?, ?, ?, ?)`
)

func insertTopic(ctx context.Context, c *conn, name string, streams int) (*state, error) {
	id, err := c.number(ctx, nextTopic)
	if err != nil {
		return nil, err
	}
	firstStream, err := c.number(ctx, nextStream)
	if err != nil {
		return nil, err
	}
	if firstStream+int64(streams) > maxStreamID {
		return nil, &ownError{fmt.Errorf("the file has %d streams and takes no more: use another", firstStream-1)}
	}
	made := &state{topics: []topicRow{{id: id, name: name, streams: int64(streams)}}}
	if err := c.exec(ctx, insertTopics, id, name, int64(streams), rowSum("topic", name, id, int64(streams))); err != nil {
		return nil, err
	}
	for number := range int64(streams) {
		r := streamRow{id: firstStream + number, topic: id, number: number}
		if err := c.exec(ctx, insertStream, r.id, r.topic, r.number, streamSum(r.id, r.topic, r.number, 0, 0)); err != nil {
			return nil, err
		}
		made.streams = append(made.streams, r)
	}
	return made, nil
}

// groupNamed returns the group called name of the topic, which it makes if there is none: a new group starts with the
// oldest messages that are kept.
func (b *Broker) groupNamed(ctx context.Context, topicName, name string) (*group, error) {
	if name == "" || len(name) > 249 {
		return nil, &ownError{fmt.Errorf("group %q: a group's name has 1 to 249 bytes (see broker.group)", cut(name))}
	}
	if !validTopic(topicName) {
		return nil, &ownError{fmt.Errorf("topic %q: %w: %w", cut(topicName), errTopicName, broker.ErrUnknownTopic)}
	}
	t, err := b.topicNamed(ctx, topicName)
	if err != nil {
		return nil, err
	}
	key := groupName{t.name, name}
	if g := b.directory.Load().groups[key]; g != nil {
		return g, nil
	}
	var made *state
	err = b.writer.do(ctx, func(ctx context.Context, c *conn) (err error) {
		made = nil
		if b.directory.Load().groups[key] == nil { // nobody was faster
			made, err = insertGroup(ctx, c, t, name)
		}
		return err
	}, func() {
		if made != nil {
			b.adopt(made)
			b.log.Info("group made", telemetry.Topic(t.name), telemetry.Group(name))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("make group %s of topic %s: %w", name, t.name, err)
	}
	return b.directory.Load().groups[key], nil
}

func insertGroup(ctx context.Context, c *conn, t *topic, name string) (*state, error) {
	id, err := c.number(ctx, nextGroup)
	if err != nil {
		return nil, err
	}
	row := groupRow{id: id, topic: t.id, name: name, positions: map[int64]int64{}}
	if err := c.exec(ctx, insertGroups, id, t.id, name, groupSum(name, id, t.id)); err != nil {
		return nil, err
	}
	for _, s := range t.streams {
		if err := c.exec(ctx, upsertPosition, id, s.id, s.first, positionSum(id, s.id, s.first)); err != nil {
			return nil, err
		}
		row.positions[s.id] = s.first
	}
	return &state{groups: []groupRow{row}}, nil
}
