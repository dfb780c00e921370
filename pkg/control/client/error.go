package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/store"
)

// Error is an answer of the API other than success.
type Error struct {
	Status   int       `json:"status"`
	Detail   string    `json:"detail"`
	Problems []Problem `json:"errors"`
}

// Problem is one thing wrong with a request.
type Problem struct {
	Location string `json:"location"` // body.timeout, query.limit
	Value    any    `json:"value"`    // as sent; nil where it may be secret
	Message  string `json:"message"`
}

// Error returns the detail, and a line for each problem: "timeout: 90s: want 1s to 1m".
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	for _, p := range e.Problems {
		text += "\n  " + p.String()
	}
	return text
}

// String returns the problem as one line, with the path as people wrote it.
func (p Problem) String() string {
	at := p.Location
	for _, place := range []string{"body.", "query.", "path."} {
		if rest, ok := strings.CutPrefix(at, place); ok {
			at = rest
			break
		}
	}
	var parts []string
	for _, part := range []string{at, valueText(p.Value), p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

func valueText(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.80v", v)
}

// Is reports whether the error is store.ErrNotFound or store.ErrGone, as the API tells them.
func (e *Error) Is(target error) bool {
	return target == store.ErrNotFound && e.Status == http.StatusNotFound ||
		target == store.ErrGone && e.Status == http.StatusGone
}

func readError(resp *http.Response) error {
	e := &Error{}
	kind, _, kindErr := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil || kindErr != nil || kind != "application/problem+json" || json.Unmarshal(body, e) != nil {
		e = &Error{Detail: fmt.Sprintf("%d %s, not from the management API: is something else listening there?", resp.StatusCode, http.StatusText(resp.StatusCode))}
	}
	e.Status = resp.StatusCode
	return e
}
