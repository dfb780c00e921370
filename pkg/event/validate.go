package event

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Limits of an event's texts, in bytes. They keep a message's headers small beside its body.
const (
	MaxName      = 255       // Tenant, Source, Type
	MaxAttribute = 1024      // Key, GivenID, Origin, ContentType, TraceParent, TraceState
	MaxRequest   = 32 * 1024 // Method, Path, Query and Headers (names and values) together
)

// Validate reports the first thing that keeps e from being encoded and read back the same. Nil means that every form
// in this package carries it.
func (e *Event) Validate() error {
	switch {
	case e.ID.IsZero():
		return errors.New("id is missing")
	case e.Tenant == "":
		return errors.New("tenant is missing")
	case e.Source == "":
		return errors.New("source is missing")
	case e.Time.Nanosecond()%int(time.Millisecond) != 0:
		return errors.New("time is not in whole milliseconds")
	case e.Time.UTC().Year() < 1 || e.Time.UTC().Year() > 9999:
		return errors.New("time is not within the years 1 to 9999")
	}
	if err := checkText("source", e.Source, MaxName); err != nil {
		return err
	}
	return e.validateSent()
}

// validateSent checks what the sender said, and the tenant it named.
func (e *Event) validateSent() error {
	if e.Type == "" {
		return errors.New("type is missing")
	}
	for _, t := range [...]struct {
		name, value string
		limit       int
	}{
		{"tenant", e.Tenant, MaxName},
		{"type", e.Type, MaxName},
		{"key", e.Key, MaxAttribute},
		{"id given by the sender", e.GivenID, MaxAttribute},
		{"ce_source", e.Origin, MaxAttribute},
		{"content type", e.ContentType, MaxAttribute},
		{"traceparent", e.TraceParent, MaxAttribute},
		{"tracestate", e.TraceState, MaxAttribute},
	} {
		if err := checkText(t.name, t.value, t.limit); err != nil {
			return err
		}
	}
	size := len(e.Method) + len(e.Path) + len(e.Query)
	for name, value := range e.Headers {
		size += len(name) + len(value)
	}
	if size > MaxRequest {
		return fmt.Errorf("method, path, query and headers have %d bytes, at most %d go along", size, MaxRequest)
	}
	if len(e.Headers) > maxMembers {
		return fmt.Errorf("%d headers, at most %d go along", len(e.Headers), maxMembers)
	}
	return nil
}

// checkText refuses what is no attribute of a CloudEvent: control characters, and bytes that are not UTF-8.
func checkText(name, value string, limit int) error {
	if len(value) > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", name, len(value), limit)
	}
	ascii := true
	for i := range len(value) {
		c := value[i]
		if c < 0x20 || c == 0x7f {
			return fmt.Errorf("%s %s has a control character", name, quote(value))
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.ValidString(value) {
		return fmt.Errorf("%s %s is not valid UTF-8", name, quote(value))
	}
	return nil
}

// quote makes outside text fit for an error: quoted, and cut to 64 bytes.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.Quote(s)
}
