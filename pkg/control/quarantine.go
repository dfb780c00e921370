package control

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluicehq/sluice/store"
)

// Quarantined is a message that could not be decoded or handled.
type Quarantined struct {
	ID       int64     `json:"id"`
	Topic    string    `json:"topic" example:"sluice.events"`
	Stream   string    `json:"stream"`
	Position string    `json:"position" doc:"Where the broker has, or had, it."`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Event    string    `json:"event,omitempty" doc:"Its id, if it could be decoded."`
	Size     int       `json:"size" doc:"Bytes of its body that are kept, at most 1 MiB."`
}

// quarantineBatch is how many rows are read at once: each brings its body, up to 1 MiB.
const quarantineBatch = 16

func (s *Server) quarantineRoutes(api huma.API) {
	huma.Register(api, operation("quarantine", "list-quarantine", http.MethodGet, "/v1/quarantine",
		"List quarantined messages", "Newest first. For admin keys: what could not be decoded has no tenant."), s.listQuarantine)
}

func (s *Server) listQuarantine(ctx context.Context, in *PageInput) (*bodyOf[Page[Quarantined]], error) {
	if !callerOf(ctx).admin() {
		return nil, errAdminOnly
	}
	before, err := decodeQuarantineCursor(in.Cursor)
	if err != nil {
		return nil, badParam("query.cursor", in.Cursor, err.Error())
	}
	rows, err := s.readQuarantine(ctx, before, in.Limit+1)
	if err != nil {
		return nil, s.failed(ctx, "list quarantine", err)
	}
	view := func(q *Quarantined) Quarantined { return *q }
	return &bodyOf[Page[Quarantined]]{pageOf(rows, in.Limit, view, func(q *Quarantined) string {
		return encodeQuarantineCursor(q.ID)
	})}, nil
}

// readQuarantine returns at most limit messages without keeping more than one batch of their bodies.
func (s *Server) readQuarantine(ctx context.Context, before int64, limit int) (out []Quarantined, err error) {
	for len(out) < limit {
		want := min(quarantineBatch, limit-len(out))
		rows, err := s.store.ListQuarantine(ctx, before, want)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			out = append(out, viewQuarantined(&rows[i]))
			before = rows[i].Number
		}
		if len(rows) < want {
			break
		}
	}
	return out, nil
}

func viewQuarantined(q *store.NumberedQuarantined) Quarantined {
	v := Quarantined{
		ID: q.Number, Topic: q.Topic, Stream: q.Stream, Position: q.Position, Reason: q.Reason, At: q.At, Size: len(q.Body),
	}
	if !q.Event.IsZero() {
		v.Event = q.Event.String()
	}
	return v
}
