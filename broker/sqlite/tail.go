package sqlite

import (
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
)

// stored is a message as the file has it. It is shared by all who read it.
type stored struct {
	message  broker.Message
	position int64
	size     int
}

// tail is the end of a stream in memory, without holes: positions start, start+1, … up to the stream's next. It is
// bounded in bytes, which it takes from the byte budget while there are some; what does not fit is read from the file.
// The stream's lock guards it.
type tail struct {
	maxBytes int64
	budget   *semaphore.Weighted

	start    int64
	messages []*stored
	bytes    int64
}

const maxTailMessages = 4096

// append adds the messages that follow the last one.
func (t *tail) append(msgs []*stored, next int64) {
	bytes := sizeOf(msgs)
	if bytes > t.maxBytes || len(msgs) > maxTailMessages || t.budget != nil && !t.budget.TryAcquire(bytes) {
		t.reset(next)
		return
	}
	t.messages = append(t.messages, msgs...)
	t.bytes += bytes
	n, over := 0, t.bytes-t.maxBytes
	for ; over > 0 || len(t.messages)-n > maxTailMessages; n++ {
		over -= int64(t.messages[n].size)
	}
	t.drop(n)
}

// from returns the messages from position on; the slice is valid while the lock is held.
func (t *tail) from(position int64) []*stored {
	if i := position - t.start; i >= 0 && i < int64(len(t.messages)) {
		return t.messages[i:]
	}
	return nil
}

// dropBelow forgets what is below position.
func (t *tail) dropBelow(position int64) {
	t.drop(int(min(max(position-t.start, 0), int64(len(t.messages)))))
}

func (t *tail) drop(n int) {
	if n == 0 {
		return
	}
	bytes := sizeOf(t.messages[:n])
	rest := copy(t.messages, t.messages[n:])
	clear(t.messages[rest:])
	t.messages = t.messages[:rest]
	t.start += int64(n)
	t.bytes -= bytes
	if t.budget != nil {
		t.budget.Release(bytes)
	}
}

// reset forgets everything; the next message will be at position next.
func (t *tail) reset(next int64) {
	t.drop(len(t.messages))
	t.start = next
}

func sizeOf(msgs []*stored) (bytes int64) {
	for _, m := range msgs {
		bytes += int64(m.size)
	}
	return bytes
}
