package sqlite

import (
	"strconv"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/sluicehq/sluice/broker"
)

// topic is a topic and its streams.
type topic struct {
	id      int64
	name    string
	streams []*stream
	groups  []*group // the writer's own
}

// streamOf returns the stream of a message: keys stay together, unkeyed messages of one turn share one.
func (t *topic) streamOf(m *broker.Message, turn uint64) *stream {
	if len(m.Key) > 0 {
		turn = xxhash.Sum64(m.Key)
	}
	return t.streams[turn%uint64(len(t.streams))]
}

// stream is an ordered share of a topic.
type stream struct {
	id     int64
	number int
	name   string
	topic  *topic

	// The writer's own.
	batch  []*broker.Message // of the commit being made
	first  int64             // positions below are deleted
	floor  int64             // every group has passed what is below
	halted int64             // deleting got as far as it can for this floor

	mu    sync.Mutex
	next  int64 // everything below is durable
	tail  tail
	pumps []*pump
}

func newStream(t *topic, r streamRow, cfg *Config) *stream {
	return &stream{
		id: r.id, number: int(r.number), name: strconv.FormatInt(r.number, 10), topic: t,
		first: r.first, floor: r.first, halted: r.first,
		next: r.next,
		tail: tail{maxBytes: cfg.TailBytes, budget: cfg.Bodies, start: r.next},
	}
}

// end returns the position that the next message will get.
func (s *stream) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// watched reports whether a pump keeps up, so that new messages are worth keeping in memory.
func (s *stream) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watchedLocked()
}

func (s *stream) watchedLocked() bool {
	for _, p := range s.pumps {
		if p.position >= s.tail.start {
			return true
		}
	}
	return false
}

// grow makes durable messages visible: those below next. msgs are all that are new, or none when nobody keeps up.
func (s *stream) grow(msgs []*stored, next int64) {
	s.mu.Lock()
	s.next = next
	if len(msgs) > 0 && s.watchedLocked() {
		s.tail.append(msgs, next)
	} else {
		s.tail.reset(next)
	}
	for _, p := range s.pumps {
		p.signal()
	}
	s.mu.Unlock()
}

// poll moves p along the tail and returns up to maxBytes (at least one message), appended to dst; or reports that p lags
// and has to read what is below upto from the file; or neither: there is nothing new.
func (s *stream) poll(p *pump, dst []*stored, maxBytes int64) (msgs []*stored, upto int64, lags bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, bytes := len(dst), int64(0)
	for _, m := range s.tail.from(p.position) {
		if bytes += int64(m.size); bytes > maxBytes && len(dst) > start {
			break
		}
		dst = append(dst, m)
	}
	p.position += int64(len(dst) - start)
	if len(dst) > start {
		s.trimLocked()
		return dst, s.next, false
	}
	return dst, s.next, p.position < s.next
}

// trimLocked drops what every pump that keeps up has taken.
func (s *stream) trimLocked() {
	low := s.next
	for _, p := range s.pumps {
		if p.position >= s.tail.start {
			low = min(low, p.position)
		}
	}
	s.tail.dropBelow(low)
}

// moveTo sets where p goes on.
func (s *stream) moveTo(p *pump, position int64) {
	s.mu.Lock()
	p.position = position
	s.mu.Unlock()
}

func (s *stream) join(p *pump) {
	s.mu.Lock()
	s.pumps = append(s.pumps, p)
	s.mu.Unlock()
}

func (s *stream) leave(p *pump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pumps {
		if s.pumps[i] == p {
			s.pumps = append(s.pumps[:i], s.pumps[i+1:]...)
			break
		}
	}
	s.trimLocked()
}
