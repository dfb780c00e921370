package sqlite

import (
	"context"

	"github.com/sluicehq/sluice/broker"
)

// tenure is one uninterrupted ownership of a stream.
type tenure struct {
	pump   *pump
	window *broker.Window
	ctx    context.Context // what Lease.Context hands out
	end    context.CancelFunc
}

// lease is one message on loan.
type lease struct {
	tenure *tenure
	stored *stored
	ticket uint64
}

var _ broker.Lease = (*lease)(nil)

func (l *lease) Message() *broker.Message { return &l.stored.message }
func (l *lease) Stream() string           { return l.tenure.pump.stream.name }
func (l *lease) Position() string         { return formatPosition(l.stored.position) }
func (l *lease) Context() context.Context { return l.tenure.ctx }

func (l *lease) Ack() {
	settled, moved := l.tenure.window.Settle(l.ticket)
	if settled {
		l.tenure.pump.release(int64(l.stored.size))
	}
	if moved {
		l.tenure.pump.broker.writer.noteSettled()
	}
}

// fence ends the tenure: later acks are too late. It returns the final committed position.
func (t *tenure) fence() (committed int64) {
	committed, bytes := t.window.Close()
	t.pump.release(bytes)
	t.end()
	return committed
}
