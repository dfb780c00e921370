package control

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Event is an event as lists show it.
type Event struct {
	ID          string    `json:"id" example:"evt_01k5d3m9q8z6y4x2w0v1t3s5r7"`
	Tenant      string    `json:"tenant" example:"default"`
	Source      string    `json:"source" example:"github"`
	Type        string    `json:"type" example:"invoice.paid"`
	Key         string    `json:"key,omitempty" doc:"Its ordering key."`
	GivenID     string    `json:"given_id,omitempty" doc:"What the sender calls it."`
	Time        time.Time `json:"time" doc:"When it was accepted."`
	ContentType string    `json:"content_type,omitempty" example:"application/json"`
	Size        int       `json:"size" doc:"Bytes of its body."`
	Matched     int       `json:"matched" doc:"How many endpoints it went to."`
	Duplicates  int64     `json:"duplicates" doc:"How many copies of it came later, and were dropped."`
}

// EventDetail is an event with what became of it.
type EventDetail struct {
	Event
	Origin           string            `json:"origin,omitempty" doc:"The ce_source that its publisher gave."`
	Method           string            `json:"method,omitempty" doc:"Of the inbound request."`
	Path             string            `json:"path,omitempty" doc:"Of the inbound request, behind the source's name."`
	Query            string            `json:"query,omitempty" doc:"Of the inbound request."`
	Headers          map[string]string `json:"headers,omitempty" doc:"The provider's headers that the source's preset keeps."`
	TraceParent      string            `json:"traceparent,omitempty" doc:"W3C trace context of its acceptance."`
	Deliveries       []Delivery        `json:"deliveries" nullable:"false" doc:"Newest first, at most 250."`
	DeliveriesCursor string            `json:"deliveries_cursor,omitempty" doc:"There are more: GET /v1/deliveries?event=ID&cursor=…"`
}

func viewEvent(r *store.RecordedEvent) Event {
	return Event{
		ID:          r.Event.ID.String(),
		Tenant:      r.Event.Tenant,
		Source:      r.Event.Source,
		Type:        r.Event.Type,
		Key:         r.Event.Key,
		GivenID:     r.Event.GivenID,
		Time:        r.Event.Time,
		ContentType: r.Event.ContentType,
		Size:        r.Size,
		Matched:     r.Matched,
		Duplicates:  r.Duplicates,
	}
}

func (s *Server) eventRoutes(api huma.API) {
	huma.Register(api, operation("events", "list-events", http.MethodGet, "/v1/events",
		"List events", "Newest first. An accepted event appears within 5 s."), s.listEvents)
	huma.Register(api, operation("events", "get-event", http.MethodGet, "/v1/events/{id}",
		"Get an event", "With its deliveries, and how often it came again.", http.StatusNotFound), s.getEvent)
	body := operation("events", "get-event-body", http.MethodGet, "/v1/events/{id}/body",
		"Download an event's body", "The exact bytes that came in. The content type is the event's own if browsers do nothing with it, else application/octet-stream; content_type of the event has the original.", http.StatusNotFound, http.StatusGone)
	body.Responses = map[string]*huma.Response{"200": {
		Description: "The body.",
		Content:     map[string]*huma.MediaType{octets: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	huma.Register(api, body, s.getEventBody)
}

// EventsInput is the parameters of the list of events.
type EventsInput struct {
	TenantInput
	PageInput
	Type   string    `query:"type" maxLength:"255" example:"invoice.paid" doc:"Only of exactly this type."`
	Source string    `query:"source" maxLength:"255" example:"github" doc:"Only of this source, by its name."`
	Since  time.Time `query:"since" example:"2026-10-01T00:00:00Z" doc:"Only accepted then or later."`
	Until  time.Time `query:"until" example:"2026-10-02T00:00:00Z" doc:"Only accepted before."`
	Query  string    `query:"q" maxLength:"1024" doc:"Only with exactly this id, key, or id given by the sender."`
}

func (s *Server) listEvents(ctx context.Context, in *EventsInput) (*bodyOf[Page[Event]], error) {
	tenant, err := callerOf(ctx).tenant(in.Tenant)
	if err != nil {
		return nil, err
	}
	before, err := decodeEventCursor(in.Cursor)
	if err != nil {
		return nil, badParam("query.cursor", in.Cursor, err.Error())
	}
	rows, err := s.findEvents(ctx, in.Query, store.EventQuery{
		Tenant: tenant, Type: in.Type, Source: in.Source, Since: in.Since, Until: in.Until, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, s.failed(ctx, "list events", err)
	}
	return &bodyOf[Page[Event]]{pageOf(rows, in.Limit, viewEvent, func(r *store.RecordedEvent) string {
		return encodeEventCursor(r.Event.ID)
	})}, nil
}

// findEvents returns what q selects and, unless text is empty, has text as its id, key or given id.
func (s *Server) findEvents(ctx context.Context, text string, q store.EventQuery) ([]store.RecordedEvent, error) {
	if text == "" {
		return s.store.ListEvents(ctx, q)
	}
	if id, err := event.ParseID(text); err == nil {
		return s.findEvent(ctx, id, q)
	}
	byKey, byGivenID := q, q
	byKey.Key, byGivenID.GivenID = text, text
	found, err := s.store.ListEvents(ctx, byKey)
	if err != nil {
		return nil, err
	}
	more, err := s.store.ListEvents(ctx, byGivenID)
	if err != nil {
		return nil, err
	}
	// Each has the newest of its kind below the cursor, so together they have the newest of both.
	found = append(found, more...)
	slices.SortFunc(found, func(a, b store.RecordedEvent) int { return -compareIDs(a.Event.ID, b.Event.ID) })
	found = slices.CompactFunc(found, func(a, b store.RecordedEvent) bool { return a.Event.ID == b.Event.ID })
	return found[:min(len(found), q.Limit)], nil
}

// findEvent returns the one event with this id, if q selects it.
func (s *Server) findEvent(ctx context.Context, id event.ID, q store.EventQuery) ([]store.RecordedEvent, error) {
	r, err := s.store.GetEvent(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &r.Event
	if q.Tenant != "" && q.Tenant != e.Tenant || q.Type != "" && q.Type != e.Type || q.Source != "" && q.Source != e.Source ||
		e.Time.Before(q.Since) || !q.Until.IsZero() && !e.Time.Before(q.Until) ||
		!q.Before.IsZero() && compareIDs(e.ID, q.Before) >= 0 {
		return nil, nil
	}
	return []store.RecordedEvent{r}, nil
}

func compareIDs(a, b event.ID) int { return cmp.Compare(string(a[:]), string(b[:])) }

func (s *Server) getEvent(ctx context.Context, in *IDInput) (*bodyOf[EventDetail], error) {
	r, err := s.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.ListDeliveries(ctx, store.DeliveryQuery{Event: r.Event.ID, Limit: maxPage + 1})
	if err != nil {
		return nil, s.failed(ctx, "list deliveries of event", err)
	}
	page := pageOf(rows, maxPage, viewDelivery, cursorOfDelivery)
	return &bodyOf[EventDetail]{EventDetail{
		Event:            viewEvent(&r),
		Origin:           r.Event.Origin,
		Method:           r.Event.Method,
		Path:             r.Event.Path,
		Query:            r.Event.Query,
		Headers:          r.Event.Headers,
		TraceParent:      r.Event.TraceParent,
		Deliveries:       page.Data,
		DeliveriesCursor: page.NextCursor,
	}}, nil
}

func (s *Server) getEventBody(ctx context.Context, in *IDInput) (*huma.StreamResponse, error) {
	r, err := s.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	select {
	case s.bodies <- struct{}{}:
	case <-ctx.Done():
		return nil, errBusy
	}
	body, contentType, err := s.store.GetBody(ctx, r.Event.ID)
	if err != nil {
		<-s.bodies
		return nil, s.failed(ctx, "get body of event", err)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer func() { <-s.bodies }()
		out.SetHeader("Content-Type", harmlessType(contentType))
		out.SetHeader("Content-Disposition", `attachment; filename="`+r.Event.ID.String()+`"`)
		out.SetStatus(http.StatusOK)
		out.BodyWriter().Write(body) //nolint:errcheck // the client has gone
	}}, nil
}

const octets = "application/octet-stream"

// harmlessType returns contentType if no program that opens it would run anything, else octets. The download has
// nosniff and attachment besides; this is for whoever saves it and opens the file.
func harmlessType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "application/json", "application/cloudevents+json", "text/plain", "application/x-www-form-urlencoded":
		return kind
	}
	return octets
}

// event returns the event that a path names, if it exists for the caller.
func (s *Server) event(ctx context.Context, text string) (store.RecordedEvent, error) {
	id, err := event.ParseID(text)
	if err != nil {
		return store.RecordedEvent{}, badParam("path.id", text, err.Error())
	}
	return s.eventByID(ctx, id)
}

func (s *Server) eventByID(ctx context.Context, id event.ID) (store.RecordedEvent, error) {
	r, err := s.store.GetEvent(ctx, id)
	if err != nil {
		return r, s.failed(ctx, "get event", err)
	}
	if !callerOf(ctx).sees(r.Event.Tenant) {
		return store.RecordedEvent{}, errNotFound
	}
	return r, nil
}
