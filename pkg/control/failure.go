package control

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// failure is an answer other than success. Its details are ours and hold no secrets, unlike those that huma makes.
type failure struct{ huma.ErrorModel }

func fail(status int, detail string, errs ...*huma.ErrorDetail) *failure {
	return &failure{huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail, Errors: errs}}
}

var (
	errNoKey        = fail(http.StatusUnauthorized, "no valid API key: send Authorization: Bearer slk_…, made by sluice keys create")
	errPublishKey   = fail(http.StatusForbidden, "publish keys may only publish events: use a key of scope tenant or admin")
	errAdminOnly    = fail(http.StatusForbidden, "needs a key of scope admin")
	errOtherTenant  = fail(http.StatusForbidden, "the key is for its own tenant: leave tenant out, or use a key of scope admin")
	errNotFound     = fail(http.StatusNotFound, "there is none of that id")
	errUnsupported  = fail(http.StatusUnsupportedMediaType, "the body must be application/json in UTF-8")
	errNoBody       = fail(http.StatusBadRequest, "takes no body")
	errTooLarge     = fail(http.StatusRequestEntityTooLarge, "a body may have 1 MiB")
	errForeignHost  = fail(http.StatusForbidden, "the Host header does not name this machine: without keys only requests to localhost or a loopback address are answered")
	errCrossOrigin  = fail(http.StatusForbidden, "comes from another web site")
	errInternal     = fail(http.StatusInternalServerError, "a bug in Sluice; it is in the log")
	errNoRoute      = fail(http.StatusNotFound, "no such route, see /openapi.json")
	errWrongMethod  = fail(http.StatusMethodNotAllowed, "the route has other methods, see the Allow header")
	errUnavailable  = fail(http.StatusServiceUnavailable, "the store does not answer, try again")
	errBusy         = fail(http.StatusServiceUnavailable, "too many downloads at once, try again")
	errSealedSecret = fail(http.StatusServiceUnavailable, "its secrets are sealed with an encryption key that this process does not have, see SLUICE_ENCRYPTION_KEY")
)

// invalid is the answer to a body with problems.
func invalid(problems []Problem) *failure {
	errs := make([]*huma.ErrorDetail, 0, len(problems))
	for _, p := range problems[:min(len(problems), maxDetails)] {
		d := &huma.ErrorDetail{Message: p.What, Location: "body." + p.Path}
		if p.Value != "" {
			d.Value = p.Value
		}
		errs = append(errs, d)
	}
	return fail(http.StatusUnprocessableEntity, "validation failed", errs...)
}

// badParam is the answer to a parameter that is wrong in a way the schema cannot say.
func badParam(location, value, what string) *failure {
	return fail(http.StatusUnprocessableEntity, "validation failed", &huma.ErrorDetail{Message: what, Location: location, Value: shorten(value)})
}

// failed is the only place that maps errors of the store to answers. What the caller cannot do anything about is
// logged, as the answer does not say it.
func (s *Server) failed(ctx context.Context, doing string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errNotFound
	case errors.Is(err, store.ErrExists):
		return fail(http.StatusConflict, "the tenant has one of that name already")
	case errors.Is(err, store.ErrManaged):
		return fail(http.StatusConflict, "managed by the configuration file: change it there, then run sluice apply")
	case errors.Is(err, store.ErrConflict):
		return fail(http.StatusConflict, "changed meanwhile, look again")
	case errors.Is(err, store.ErrGone):
		return fail(http.StatusGone, "no longer kept, see store.retention")
	case errors.Is(err, store.ErrData):
		return fail(http.StatusUnprocessableEntity, "the store refuses it for its data")
	case errors.Is(err, store.ErrSealed):
		return errSealedSecret
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // then nobody waits for the answer
		s.log.Warn("the store does not answer the management API", zap.String(keyDoing, doing), telemetry.Error(err))
	}
	return huma.ErrorWithHeaders(errUnavailable, http.Header{"Retry-After": {"1"}})
}

const (
	maxDetails = 50 // of one answer
	keyDoing   = "doing"
)

// tidy is a huma.Transformer that makes huma's own errors fit to be sent: their values are what the client sent,
// secrets included, and one body can earn thousands.
func tidy(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if m.Status >= http.StatusInternalServerError {
		m.Errors = nil
	}
	m.Errors = slices.DeleteFunc(m.Errors, func(d *huma.ErrorDetail) bool { return d == nil })
	slices.SortStableFunc(m.Errors, func(a, b *huma.ErrorDetail) int { return cmp.Compare(a.Location, b.Location) })
	m.Errors = m.Errors[:min(len(m.Errors), maxDetails)]
	for i, d := range m.Errors {
		m.Errors[i] = &huma.ErrorDetail{Message: explain(d), Location: shorten(d.Location), Value: harmless(d)}
	}
	return m, nil
}

// harmless returns the value to show: of a parameter, never of the body.
func harmless(d *huma.ErrorDetail) any {
	if text, ok := d.Value.(string); ok && text != "" && !strings.HasPrefix(d.Location, "body") {
		return shorten(text)
	}
	return nil
}

// explain rewords what huma says of unknown fields.
func explain(d *huma.ErrorDetail) string {
	if d.Message != "unexpected property" {
		return shorten(d.Message)
	}
	field := d.Location[strings.LastIndexByte(d.Location, '.')+1:]
	if NotYet(field) {
		return "is not built yet, leave it out"
	}
	return "unknown field, see /openapi.json"
}
