package broker

import "sync"

// Window tracks the messages of one stream that are handed out, for adapters whose broker remembers one position per
// group and stream. Messages are added in stream order and settled in any order; the committed position is the end of
// the settled prefix and so never passes a message that is not settled. Positions need not be dense: what lies between
// two added messages is passed with the first of them.
//
// It follows the offset tracker of Confluent's parallel consumer, kept in order of arrival so that gaps cost nothing.
// All methods are safe for concurrent use.
type Window struct {
	maxMessages int
	maxBytes    int64
	room        chan struct{}

	mu         sync.Mutex
	ring       []slot // a power of two; slot of ticket t is ring[t mod len]
	head, tail uint64 // tickets [head, tail) are tracked; head is not settled
	committed  int64
	unsettled  int
	bytes      int64 // of what is not settled
	closed     bool
}

type slot struct {
	next    int64 // position after the message and whatever was skipped behind it
	size    int32
	settled bool
}

// NewWindow returns a window whose committed position is start. It takes at most messages (1 or more) from the first
// unsettled one on, and at most bytes of unsettled ones; a larger message fits when nothing else is unsettled.
func NewWindow(start int64, messages int, bytes int64) *Window {
	return &Window{maxMessages: messages, maxBytes: bytes, room: make(chan struct{}, 1), committed: start}
}

// Add notes that the message whose successor has position next is handed out, and returns a ticket to settle it with.
// It reports false, and changes nothing, when the message does not fit or the window is closed.
func (w *Window) Add(next int64, size int) (ticket uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.tail-w.head >= uint64(w.maxMessages) || w.unsettled > 0 && w.bytes+int64(size) > w.maxBytes {
		return 0, false
	}
	if w.tail-w.head == uint64(len(w.ring)) {
		w.growLocked()
	}
	ticket = w.tail
	*w.slotLocked(ticket) = slot{next: next, size: int32(size)}
	w.tail++
	w.unsettled++
	w.bytes += int64(size)
	return ticket, true
}

func (w *Window) growLocked() {
	old := w.ring
	w.ring = make([]slot, max(64, 2*len(old)))
	for t := w.head; t != w.tail; t++ {
		*w.slotLocked(t) = old[t&uint64(len(old)-1)]
	}
}

func (w *Window) slotLocked(ticket uint64) *slot { return &w.ring[ticket&uint64(len(w.ring)-1)] }

// Skip notes that there is nothing more before position next: it is passed once everything added so far is settled.
func (w *Window) Skip(next int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
	case w.head == w.tail:
		w.committed = max(w.committed, next)
	default:
		last := w.slotLocked(w.tail - 1)
		last.next = max(last.next, next)
	}
}

// Settle marks the ticket's message as settled. It reports whether that was news, and whether the committed position
// moved. After Close, and for a ticket settled before, it does nothing.
func (w *Window) Settle(ticket uint64) (settled, moved bool) {
	w.mu.Lock()
	if w.closed || ticket < w.head || ticket >= w.tail || w.slotLocked(ticket).settled {
		w.mu.Unlock()
		return false, false
	}
	s := w.slotLocked(ticket)
	s.settled = true
	w.unsettled--
	w.bytes -= int64(s.size)
	for w.head != w.tail && w.slotLocked(w.head).settled {
		w.committed = w.slotLocked(w.head).next
		w.head++
		moved = true
	}
	w.mu.Unlock()
	select {
	case w.room <- struct{}{}:
	default:
	}
	return true, moved
}

// Room receives after a message was settled: one that Add refused may fit now. There is one value for any number of
// messages, so it has one reader.
func (w *Window) Room() <-chan struct{} { return w.room }

// Committed returns the position below which everything is settled.
func (w *Window) Committed() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}

// Unsettled returns how many messages are handed out and not settled, and their bytes.
func (w *Window) Unsettled() (messages int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsettled, w.bytes
}

// Close fences the window: nothing is added, settled or skipped any more. It returns the final committed position and
// the bytes that stay unsettled; a second call returns the same position and no bytes.
func (w *Window) Close() (committed, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bytes = w.bytes
	w.closed, w.bytes = true, 0
	return w.committed, bytes
}
