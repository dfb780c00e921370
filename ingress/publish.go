package ingress

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/event"
)

// How long a request waits for the broker.
const (
	maxPublishWait = 2500 * time.Millisecond
	minPublishWait = 250 * time.Millisecond // even if the body took all of the provider's time: what came so far is worth a try
	beforeDeadline = 500 * time.Millisecond // the answer must reach the provider before it gives up
)

// publishWait returns how long to wait for the broker when the sender gives up deadline after it began.
func publishWait(deadline, elapsed time.Duration) time.Duration {
	return max(minPublishWait, min(maxPublishWait, deadline-beforeDeadline-elapsed))
}

func (c *call) message(e *event.Event) *broker.Message {
	m := &broker.Message{Topic: c.deps.Topic, Headers: event.Encode(e), Body: e.Body}
	if e.Key != "" {
		m.Key = []byte(e.Key)
	}
	return m
}

// publish returns nil once the broker has all of msgs durably. An error means that at least one may be missing.
func (c *call) publish(ctx context.Context, deadline time.Duration, msgs ...*broker.Message) error {
	for _, m := range msgs {
		if m.Size() > c.deps.MaxMessage {
			return errEventTooLarge // before any of them is on its way
		}
	}
	// Beyond that a slow broker would make us hold ever more requests, which all fail in the end.
	if c.publishing.Add(1) > maxPublishing {
		c.publishing.Add(-1)
		return errCrowded
	}
	defer c.publishing.Add(-1)
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, publishWait(deadline, began.Sub(c.began)))
	defer cancel()
	err := c.deps.Publisher.Publish(ctx, msgs...)
	c.metrics.PublishSeconds.Observe(time.Since(began).Seconds())
	return err
}
