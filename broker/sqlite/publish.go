package sqlite

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// publisher is the broker's one Publisher.
type publisher struct {
	broker  *Broker
	pending *semaphore.Weighted // bytes that wait for their commit
}

// perMessage is what a waiting message costs beside its bytes.
const perMessage = 256

var errTopicName = errors.New("a topic's name has 1 to 249 letters, digits, dots, dashes and underscores")

// Publish puts all messages of the call into one commit, or none, except those that are refused for what they are.
func (p *publisher) Publish(ctx context.Context, msgs ...*broker.Message) error {
	c := &call{msgs: msgs, done: make(chan error, 1)}
	refused := p.refuse(c)
	if len(c.msgs) == 0 {
		return p.result(len(msgs), refused, nil)
	}
	if err := p.resolve(ctx, c); err != nil {
		return p.result(len(msgs), refused, err)
	}
	return p.result(len(msgs), refused, p.commit(ctx, c))
}

// refuse takes the messages that can never be published out of the call. It returns nil or an error per message.
func (p *publisher) refuse(c *call) broker.PublishErrors {
	var refused broker.PublishErrors
	most := p.broker.cfg.MaxMessage
	all := c.msgs
	for i, m := range all {
		size := m.Size()
		c.bytes += int64(size)
		var err error
		switch {
		case size > most:
			err = fmt.Errorf("publish to %s: %d bytes, the broker takes %d (see ingress.max_body): %w", m.Topic, size, most, broker.ErrTooLarge)
		case !validTopic(m.Topic):
			err = fmt.Errorf("publish to %q: %w: %w", cut(m.Topic), errTopicName, broker.ErrUnknownTopic)
		}
		if err == nil {
			if refused != nil {
				c.msgs = append(c.msgs, m)
			}
			continue
		}
		if refused == nil {
			refused = make(broker.PublishErrors, len(all))
			c.msgs = append(make([]*broker.Message, 0, len(all)), all[:i]...)
		}
		refused[i] = err
		c.bytes -= int64(size)
	}
	return refused
}

// resolve finds the topics of the call's messages, making those that are new.
func (p *publisher) resolve(ctx context.Context, c *call) error {
	c.topics = c.few[:0]
	for i, m := range c.msgs {
		if i > 0 && m.Topic == c.msgs[i-1].Topic {
			c.topics = append(c.topics, c.topics[i-1])
			continue
		}
		t, err := p.broker.topicNamed(ctx, m.Topic)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", m.Topic, err)
		}
		c.topics = append(c.topics, t)
	}
	return nil
}

// commit waits for room, hands the call to the writer and waits for the outcome.
func (p *publisher) commit(ctx context.Context, c *call) error {
	// A call larger than all the room waits until it is alone.
	room := min(c.bytes+perMessage*int64(len(c.msgs)), p.broker.cfg.PendingBytes)
	if err := p.pending.Acquire(ctx, room); err != nil {
		return fmt.Errorf("publish to %s: too much waits to be written: %w: %w", c.msgs[0].Topic, broker.ErrUnavailable, err)
	}
	defer p.pending.Release(room)
	w := p.broker.writer
	if !w.submit(c) {
		return fmt.Errorf("publish to %s: %w", c.msgs[0].Topic, broker.ErrClosed)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	if w.withdraw(c) {
		return fmt.Errorf("publish to %s: not written in time: %w: %w", c.msgs[0].Topic, broker.ErrUnavailable, ctx.Err())
	}
	select {
	case err := <-c.done: // it was being decided just now
		return err
	default:
		return fmt.Errorf("publish to %s: gave up while it was written: %w: %w", c.msgs[0].Topic, broker.ErrAmbiguous, ctx.Err())
	}
}

// result makes the answer for a call of n messages: err is what the ones that were not refused got.
func (p *publisher) result(n int, refused broker.PublishErrors, err error) error {
	published := p.broker.metrics.Published
	if refused == nil && err == nil {
		published.WithLabelValues(telemetry.PublishOK).Add(float64(n))
		return nil
	}
	if refused == nil {
		refused = make(broker.PublishErrors, n)
	}
	for i := range refused {
		if refused[i] == nil {
			refused[i] = err
		}
		published.WithLabelValues(outcome(refused[i])).Inc()
	}
	return refused
}

func outcome(err error) string {
	switch {
	case err == nil:
		return telemetry.PublishOK
	case errors.Is(err, broker.ErrTooLarge):
		return telemetry.PublishTooLarge
	case errors.Is(err, broker.ErrAmbiguous):
		return telemetry.PublishAmbiguous
	default:
		return telemetry.PublishUnavailable
	}
}

func validTopic(name string) bool {
	if len(name) == 0 || len(name) > 249 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// cut shortens a name that may be anything, for an error.
func cut(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
