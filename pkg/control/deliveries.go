package control

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Delivery is what became, or becomes, of an event at one endpoint.
type Delivery struct {
	ID             string    `json:"id" example:"dlv_01k5d3m9q8z6y4x2w0v1t3s5r7000000000000"`
	Event          string    `json:"event" example:"evt_01k5d3m9q8z6y4x2w0v1t3s5r7"`
	Endpoint       string    `json:"endpoint" example:"ep_0000001"`
	Replay         uint32    `json:"replay" doc:"0 is the original delivery; each replay or retry of a finished one has a number."`
	State          string    `json:"state" enum:"queued,delivered,dead,canceled"`
	Reason         string    `json:"reason,omitempty" example:"retry" doc:"Why it is in that state."`
	AttemptCount   int       `json:"attempt_count" doc:"Attempts made, one that still runs included."`
	FirstAttempt   time.Time `json:"first_attempt,omitzero"`
	QueuedAt       time.Time `json:"queued_at,omitzero"`
	NextAt         time.Time `json:"next_at,omitzero" doc:"queued: due from then on."`
	FinishedAt     time.Time `json:"finished_at,omitzero"`
	LastStatus     int       `json:"last_status,omitempty" example:"503" doc:"HTTP status of the last attempt; left out if no answer came."`
	LastError      string    `json:"last_error,omitempty" doc:"Why the last attempt failed."`
	LastDurationMS float64   `json:"last_duration_ms,omitempty" doc:"Of the last attempt."`
}

// DeliveryDetail is a delivery with its attempts.
type DeliveryDetail struct {
	Delivery
	Attempts []Attempt `json:"attempts" nullable:"false" doc:"First to last. One that still runs is not among them."`
}

// Attempt is one request to the endpoint.
type Attempt struct {
	Number     int       `json:"number" doc:"From 1."`
	Started    time.Time `json:"started"`
	DurationMS float64   `json:"duration_ms"`
	Delivered  bool      `json:"delivered"`
	Status     int       `json:"status,omitempty" doc:"HTTP status; left out if no answer came."`
	Error      string    `json:"error,omitempty"`
	Excerpt    string    `json:"excerpt,omitempty" doc:"The start of the answer's body, if the attempt failed; at most 16 KiB."`
}

func viewDelivery(d *store.Delivery) Delivery {
	return Delivery{
		ID:             d.ID.String(),
		Event:          d.ID.Event.String(),
		Endpoint:       d.ID.Endpoint.String(),
		Replay:         d.ID.Replay,
		State:          string(d.State),
		Reason:         string(d.Reason),
		AttemptCount:   d.Attempts,
		FirstAttempt:   d.FirstAttempt,
		QueuedAt:       d.QueuedAt,
		NextAt:         d.NextAt,
		FinishedAt:     d.FinishedAt,
		LastStatus:     d.LastStatus,
		LastError:      d.LastError,
		LastDurationMS: milliseconds(d.LastDuration),
	}
}

// viewAttempts returns the failed attempts, which are kept, and the successful one, which the delivery itself tells.
func viewAttempts(d *store.Delivery, failed []store.Attempt) []Attempt {
	out := make([]Attempt, 0, len(failed)+1)
	for _, a := range failed {
		out = append(out, Attempt{
			Number:     a.Number,
			Started:    a.Started,
			DurationMS: milliseconds(a.Duration),
			Status:     a.Status,
			Error:      a.Error,
			Excerpt:    strings.ToValidUTF8(string(a.Excerpt), "\uFFFD"),
		})
	}
	if d.State == store.DeliveryDelivered {
		out = append(out, Attempt{
			Number:     max(d.Attempts, 1),
			Started:    d.FinishedAt.Add(-d.LastDuration),
			DurationMS: milliseconds(d.LastDuration),
			Delivered:  true,
			Status:     d.LastStatus,
		})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func cursorOfDelivery(d *store.Delivery) string { return encodeDeliveryCursor(d.ID) }

func (s *Server) deliveryRoutes(api huma.API) {
	huma.Register(api, operation("deliveries", "list-deliveries", http.MethodGet, "/v1/deliveries",
		"List deliveries", "Those of the newest event first, queued and finished ones together."), s.listDeliveries)
	huma.Register(api, operation("deliveries", "get-delivery", http.MethodGet, "/v1/deliveries/{id}",
		"Get a delivery", "With its attempts.", http.StatusNotFound), s.getDelivery)
	retry := operation("deliveries", "retry-delivery", http.MethodPost, "/v1/deliveries/{id}/retry",
		"Retry a delivery", "A queued one is due at once, but not before an attempt that may still run has ended. For a finished one a new delivery is made, with the next replay number, and answered.",
		http.StatusNotFound, http.StatusGone)
	retry.DefaultStatus = http.StatusAccepted
	huma.Register(api, retry, s.retryDelivery)
}

// DeliveriesInput is the parameters of the list of deliveries.
type DeliveriesInput struct {
	TenantInput
	PageInput
	Endpoint string    `query:"endpoint" maxLength:"64" example:"ep_0000001" doc:"Only to this endpoint."`
	Event    string    `query:"event" maxLength:"64" doc:"Only of this event."`
	State    string    `query:"state" enum:"queued,delivered,dead,canceled" doc:"Only in this state."`
	Since    time.Time `query:"since" example:"2026-10-01T00:00:00Z" doc:"Only of events accepted then or later."`
	Until    time.Time `query:"until" example:"2026-10-02T00:00:00Z" doc:"Only of events accepted before."`
}

func (s *Server) listDeliveries(ctx context.Context, in *DeliveriesInput) (*bodyOf[Page[Delivery]], error) {
	q, err := in.query(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	rows, err := s.store.ListDeliveries(ctx, q)
	if err != nil {
		return nil, s.failed(ctx, "list deliveries", err)
	}
	return &bodyOf[Page[Delivery]]{pageOf(rows, in.Limit, viewDelivery, cursorOfDelivery)}, nil
}

func (in *DeliveriesInput) query(who caller) (q store.DeliveryQuery, err error) {
	q = store.DeliveryQuery{State: store.DeliveryState(in.State), Since: in.Since, Until: in.Until, Limit: in.Limit + 1}
	if q.Tenant, err = who.tenant(in.Tenant); err != nil {
		return q, err
	}
	if q.Before, err = decodeDeliveryCursor(in.Cursor); err != nil {
		return q, badParam("query.cursor", in.Cursor, err.Error())
	}
	if in.Endpoint != "" {
		if q.Endpoint, err = store.ParseEndpointID(in.Endpoint); err != nil {
			return q, badParam("query.endpoint", in.Endpoint, err.Error())
		}
	}
	if in.Event != "" {
		if q.Event, err = event.ParseID(in.Event); err != nil {
			return q, badParam("query.event", in.Event, err.Error())
		}
	}
	return q, nil
}

func (s *Server) getDelivery(ctx context.Context, in *IDInput) (*bodyOf[DeliveryDetail], error) {
	d, err := s.delivery(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	failed, err := s.store.ListAttempts(ctx, d.ID)
	if err != nil {
		return nil, s.failed(ctx, "list attempts of delivery", err)
	}
	return &bodyOf[DeliveryDetail]{DeliveryDetail{viewDelivery(&d), viewAttempts(&d, failed)}}, nil
}

func (s *Server) retryDelivery(ctx context.Context, in *IDInput) (*bodyOf[Delivery], error) {
	d, err := s.delivery(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	id, err := s.store.RetryDelivery(ctx, d.ID, time.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		return nil, s.failed(ctx, "retry delivery", err)
	}
	s.log.Info("delivery retried", telemetry.DeliveryID(id), zap.String(keyBy, callerOf(ctx).name()))
	again, err := s.store.GetDelivery(ctx, id)
	if err != nil {
		return nil, s.failed(ctx, "get retried delivery", err)
	}
	return &bodyOf[Delivery]{viewDelivery(&again)}, nil
}

// delivery returns the delivery that a path names, if it exists for the caller. It belongs to its event's tenant.
func (s *Server) delivery(ctx context.Context, text string) (store.Delivery, error) {
	id, err := store.ParseDeliveryID(text)
	if err != nil {
		return store.Delivery{}, badParam("path.id", text, err.Error())
	}
	if _, err := s.eventByID(ctx, id.Event); err != nil {
		return store.Delivery{}, err
	}
	d, err := s.store.GetDelivery(ctx, id)
	if err != nil {
		return d, s.failed(ctx, "get delivery", err)
	}
	return d, nil
}
