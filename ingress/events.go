package ingress

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// publisherDeadline is how long publishers are taken to wait for an answer.
const publisherDeadline = 10 * time.Second

var postOnly = []string{http.MethodPost}

// publishEvents takes events from a publisher. All of them become durable, or the answer is no 2xx; then some may be,
// and the publisher repeats all with the same ids of its own, by which the second copies are known.
func (c *call) publishEvents() {
	c.counters, c.allow = &c.api, postOnly
	if c.r.Method != http.MethodPost {
		c.problem(errMethod)
		return
	}
	key, err := c.authenticate()
	if err != nil {
		c.problem(err)
		return
	}
	ctx := c.trace()
	if err := c.acceptPublished(ctx, key); err != nil {
		c.problem(err)
	}
}

func (c *call) acceptPublished(ctx context.Context, key *store.Key) error {
	body, err := readBody(ctx, c.w, c.r, c.cfg.MaxBody, c.began, c.holdMemory())
	if err != nil {
		return err
	}
	c.metrics.BodyBytes.Add(float64(len(body)))
	published, err := event.ParsePublished(c.r.Header, body)
	if err == nil {
		err = published.SetIdempotencyKey(c.r.Header.Get("Idempotency-Key"))
	}
	if err != nil {
		return malformed(err)
	}
	msgs, err := c.messages(ctx, published, key)
	if err != nil {
		return err
	}
	if err := c.publish(ctx, publisherDeadline, msgs...); err != nil {
		return err
	}
	if entry := c.log.Check(zap.DebugLevel, "events accepted"); entry != nil {
		e := &published.Events[0]
		entry.Write(telemetry.EventID(e.ID), telemetry.Tenant(e.Tenant), zap.Int("events", len(msgs)), zap.String("type", e.Type), telemetry.TraceID(ctx))
	}
	c.answerIDs(published)
	return nil
}

func malformed(err error) error {
	if r := classify(err); r.status == http.StatusUnsupportedMediaType {
		return r
	}
	return &refusal{status: http.StatusBadRequest, outcome: telemetry.IngressMalformed, detail: err.Error()}
}

// messages completes the events with what is ours to say.
func (c *call) messages(ctx context.Context, p *event.Published, key *store.Key) ([]*broker.Message, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	parent, state := telemetry.Inject(ctx)
	msgs := make([]*broker.Message, len(p.Events))
	for i := range p.Events {
		e := &p.Events[i]
		var err error
		if e.Tenant, err = tenantOf(key, e.Tenant); err != nil {
			return nil, err
		}
		e.ID, e.Time, e.Source = event.NewID(now), now, event.APISource
		if e.TraceParent == "" { // else the publisher says where its event belongs
			e.TraceParent, e.TraceState = parent, state
		}
		if err := e.Validate(); err != nil {
			return nil, malformed(err)
		}
		msgs[i] = c.message(e)
	}
	c.describeSpan(&p.Events[0])
	return msgs, nil
}

// answerIDs answers with the ids of the events, in the form in which they came.
func (c *call) answerIDs(p *event.Published) {
	var text strings.Builder
	if p.Array {
		text.WriteString(`{"ids":[`)
		for i := range p.Events {
			if i > 0 {
				text.WriteByte(',')
			}
			text.WriteString(`"` + p.Events[i].ID.String() + `"`)
		}
		text.WriteString("]}\n")
	} else {
		text.WriteString(`{"id":"` + p.Events[0].ID.String() + "\"}\n")
	}
	c.settle(http.StatusAccepted, telemetry.IngressAccepted)
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusAccepted)
	c.w.Write([]byte(text.String())) //nolint:errcheck // the publisher is gone; it repeats, and the second copies are known
}
