package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
)

// state is what the file says, apart from messages.
type state struct {
	topics  []topicRow
	streams []streamRow
	groups  []groupRow
}

type topicRow struct {
	id      int64
	name    string
	streams int64
}

type streamRow struct{ id, topic, number, first, next int64 }

type groupRow struct {
	id, topic int64
	name      string
	positions map[int64]int64 // by stream
}

// loadState reads the small tables and verifies their sums.
func loadState(ctx context.Context, c *conn) (*state, error) {
	s := &state{}
	for _, load := range []func(context.Context, *conn) error{s.loadTopics, s.loadStreams, s.loadGroups, s.loadPositions} {
		if err := load(ctx, c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const selectTopics = `SELECT name, id, streams, sum FROM topics ORDER BY id`

func (s *state) loadTopics(ctx context.Context, c *conn) error {
	return c.query(ctx, selectTopics, func(row []driver.Value) error {
		name, n, err := nameAndIntegers(row)
		if err != nil || n[2] != rowSum("topic", name, n[0], n[1]) {
			return damagedRow("topics", err)
		}
		s.topics = append(s.topics, topicRow{id: n[0], name: name, streams: n[1]})
		return nil
	})
}

const selectStreams = `SELECT id, topic, number, first, next, sum FROM streams ORDER BY id`

func (s *state) loadStreams(ctx context.Context, c *conn) error {
	err := c.query(ctx, selectStreams, func(row []driver.Value) error {
		n, err := integers(row)
		if err != nil || n[5] != streamSum(n[0], n[1], n[2], n[3], n[4]) {
			return damagedRow("streams", err)
		}
		s.streams = append(s.streams, streamRow{id: n[0], topic: n[1], number: n[2], first: n[3], next: n[4]})
		return nil
	})
	if err != nil {
		return err
	}
	for i := range s.streams {
		if err := s.streams[i].loadNext(ctx, c); err != nil {
			return err
		}
	}
	return s.checkStreams()
}

func streamSum(id, topic, number, first, next int64) int64 {
	return rowSum("stream", "", id, topic, number, first, next)
}

const selectLastRow = `SELECT id, time, data FROM messages WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1`

// loadNext moves next behind the last row: the table streams has it as of the last deletion.
func (r *streamRow) loadNext(ctx context.Context, c *conn) error {
	return c.query(ctx, selectLastRow, func(row []driver.Value) error {
		id, ms, data, err := messageRow(row)
		if err != nil {
			return err
		}
		count, err := rowCount(id, ms, data)
		if err != nil {
			count = maxRowMessages // how many they were is unknown; positions that may be theirs are not given again
		}
		r.next = max(r.next, id-rowID(r.id, 0)+int64(count))
		return nil
	}, rowID(r.id, 0), rowID(r.id, maxPosition))
}

// checkStreams verifies that each topic has all its streams.
func (s *state) checkStreams() error {
	have := map[int64]int64{}
	for _, r := range s.streams {
		have[r.topic]++
	}
	for _, t := range s.topics {
		if have[t.id] != t.streams {
			return &damageError{fmt.Sprintf("topic %s has %d of its %d streams", t.name, have[t.id], t.streams)}
		}
	}
	return nil
}

const selectGroups = `SELECT name, id, topic, sum FROM groups ORDER BY id`

func (s *state) loadGroups(ctx context.Context, c *conn) error {
	return c.query(ctx, selectGroups, func(row []driver.Value) error {
		name, n, err := nameAndIntegers(row)
		if err != nil || n[2] != groupSum(name, n[0], n[1]) {
			return damagedRow("groups", err)
		}
		s.groups = append(s.groups, groupRow{id: n[0], topic: n[1], name: name, positions: map[int64]int64{}})
		return nil
	})
}

func groupSum(name string, id, topic int64) int64 { return rowSum("group", name, id, topic) }

const selectPositions = `SELECT "group", stream, position, sum FROM positions`

func (s *state) loadPositions(ctx context.Context, c *conn) error {
	byID := map[int64]*groupRow{}
	for i := range s.groups {
		byID[s.groups[i].id] = &s.groups[i]
	}
	err := c.query(ctx, selectPositions, func(row []driver.Value) error {
		n, err := integers(row)
		if err != nil || n[3] != positionSum(n[0], n[1], n[2]) {
			return damagedRow("positions", err)
		}
		if g := byID[n[0]]; g != nil { // else an operator removed the group
			g.positions[n[1]] = n[2]
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A position behind the end can only mean that rows were lost. Messages must not be published below it: the group
	// would never see them.
	for i := range s.streams {
		for _, g := range s.groups {
			s.streams[i].next = max(s.streams[i].next, g.positions[s.streams[i].id])
		}
	}
	return nil
}

func positionSum(group, stream, position int64) int64 {
	return rowSum("position", "", group, stream, position)
}

func nameAndIntegers(row []driver.Value) (string, []int64, error) {
	name, err := text(row[0])
	if err != nil {
		return "", nil, err
	}
	n, err := integers(row[1:])
	return name, n, err
}

func damagedRow(table string, err error) error {
	if err != nil {
		return fmt.Errorf("table %s: %w", table, err)
	}
	return &damageError{"a row of table " + table + " does not match its checksum"}
}

func formatPosition(position int64) string { return strconv.FormatInt(position, 10) }
