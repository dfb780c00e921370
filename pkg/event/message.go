package event

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header is one header of a broker message.
type Header struct {
	Name  string
	Value []byte
}

// Names of the headers of an event's broker message: those of CloudEvents' Kafka binding, its distributed tracing
// extension, and our own.
const (
	headerSpec        = "ce_specversion"
	headerID          = "ce_id"
	headerSource      = "ce_source"
	headerType        = "ce_type"
	headerTime        = "ce_time"
	headerTenant      = "ce_tenant"
	headerKey         = "ce_key"
	headerGivenID     = "ce_givenid"
	headerSluice      = "ce_sluicesource" // Source, when ce_source is what the sender published
	headerContentType = "content-type"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerRequest     = "sluice-request"
)

// specVersion is the version of CloudEvents that is written and read.
const specVersion = "1.0"

// timeLayout is RFC 3339 in UTC with exactly three digits of a second.
const timeLayout = "2006-01-02T15:04:05.000Z"

// MaxHeaders bounds the headers of a broker message that Decode takes: names and values in bytes. What Validate
// accepts is always below it.
const MaxHeaders = 8*MaxRequest + 16*MaxAttribute

// slash stands before Source in ce_source.
const slash = "/"

var specValue = []byte(specVersion) // shared: values of messages are read-only

// Encode writes e as the headers of a CloudEvents 1.0 binary-mode message; its body is e.Body and its key e.Key. What
// Validate accepts, Decode reads back the same.
func Encode(e *Event) []Header {
	w := headerWriter{
		headers: make([]Header, 0, 13),
		// One buffer for all values. Should it grow, what was cut from it before stays valid where it was.
		buf: make([]byte, 0, headersSize(e)),
	}
	w.headers = append(w.headers, Header{headerSpec, specValue})
	w.buf, _ = e.ID.AppendText(w.buf)
	w.cut(headerID)
	if e.Origin == "" {
		w.buf = append(w.buf, slash...)
		w.buf = append(w.buf, e.Source...)
		w.cut(headerSource)
	} else {
		w.put(headerSource, e.Origin)
		w.put(headerSluice, e.Source)
	}
	w.put(headerType, e.Type)
	w.buf = e.Time.UTC().AppendFormat(w.buf, timeLayout)
	w.cut(headerTime)
	w.put(headerTenant, e.Tenant)
	w.putAny(headerKey, e.Key)
	w.putAny(headerGivenID, e.GivenID)
	w.putAny(headerContentType, e.ContentType)
	w.putAny(headerTraceParent, e.TraceParent)
	w.putAny(headerTraceState, e.TraceState)
	if hasRequest(e) {
		w.buf = appendRequest(w.buf, e)
		w.cut(headerRequest)
	}
	return w.headers
}

// headersSize estimates how many bytes the values take together; escapes may make it more.
func headersSize(e *Event) int {
	n := len(idPrefix) + Base32Len(len(e.ID)) + len(slash) + len(timeLayout) +
		len(e.Source) + len(e.Origin) + len(e.Type) + len(e.Tenant) + len(e.Key) + len(e.GivenID) +
		len(e.ContentType) + len(e.TraceParent) + len(e.TraceState) + len(e.Method) + len(e.Path) + len(e.Query)
	n += len(`{"method":"","path":"","query":"","headers":{}}`)
	for name, value := range e.Headers {
		n += len(name) + len(value) + len(`"":"",`)
	}
	return n
}

type headerWriter struct {
	headers []Header
	buf     []byte
	from    int // where the next value begins
}

// cut makes what was appended to buf the value of header name.
func (w *headerWriter) cut(name string) {
	w.headers = append(w.headers, Header{name, w.buf[w.from:len(w.buf):len(w.buf)]})
	w.from = len(w.buf)
}

func (w *headerWriter) put(name, value string) {
	w.buf = append(w.buf, value...)
	w.cut(name)
}

func (w *headerWriter) putAny(name, value string) {
	if value != "" {
		w.put(name, value)
	}
}

// Decode reads a message that Encode wrote. Its Body is body itself, not a copy. Headers of other names are ignored:
// tools on the way add some, and so may later versions. It refuses what Validate does, and names the header.
func Decode(headers []Header, body []byte) (*Event, error) {
	var values messageValues
	if err := values.collect(headers); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	e := &Event{Body: body}
	if err := values.fill(e); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

// messageValues are the values of the headers that Encode writes, in the order of messageNames.
type messageValues [len(messageNames)]string

var messageNames = [...]string{
	headerSpec, headerID, headerSource, headerType, headerTime, headerTenant, headerKey,
	headerGivenID, headerSluice, headerContentType, headerTraceParent, headerTraceState, headerRequest,
}

// collect copies the values into one string and cuts that: one allocation for all fields of the event.
func (v *messageValues) collect(headers []Header) error {
	total, values := 0, 0
	for i := range headers {
		total += len(headers[i].Name)
		values += len(headers[i].Value)
	}
	total += values
	if total > MaxHeaders {
		return fmt.Errorf("headers of %d bytes, more than the %d that an event has", total, MaxHeaders)
	}
	var text strings.Builder
	text.Grow(values)
	var length [len(messageNames)]int
	var order [len(messageNames)]int
	known := 0
	for i := range headers {
		at := messageIndex(headers[i].Name)
		if at < 0 {
			continue
		}
		if length[at] != 0 {
			return fmt.Errorf("header %s is there twice", headers[i].Name)
		}
		if len(headers[i].Value) == 0 {
			return fmt.Errorf("header %s is empty", headers[i].Name)
		}
		length[at] = len(headers[i].Value)
		order[known] = at
		known++
		text.Write(headers[i].Value)
	}
	rest := text.String()
	for _, at := range order[:known] {
		v[at], rest = rest[:length[at]], rest[length[at]:]
	}
	return nil
}

func messageIndex(name string) int {
	for i := range messageNames {
		if messageNames[i] == name {
			return i
		}
	}
	return -1
}

func (v *messageValues) fill(e *Event) (err error) {
	const (
		spec = iota
		id
		source
		typ
		at
		tenant
		key
		givenID
		sluice
		contentType
		traceParent
		traceState
		request
	)
	for i := range key { // from there on they are optional
		if v[i] == "" {
			return fmt.Errorf("header %s is missing", messageNames[i])
		}
	}
	if v[spec] != specVersion {
		return fmt.Errorf("header %s: %s, want %s", headerSpec, quote(v[spec]), specVersion)
	}
	if e.ID, err = ParseID(v[id]); err != nil {
		return fmt.Errorf("header %s: %w", headerID, err)
	}
	if e.Time, err = parseTime(v[at]); err != nil {
		return fmt.Errorf("header %s: %w", headerTime, err)
	}
	if v[sluice] != "" {
		e.Source, e.Origin = v[sluice], v[source]
	} else {
		name, ok := strings.CutPrefix(v[source], slash)
		if !ok {
			return fmt.Errorf("header %s: %s, want / and a source's name, or header %s", headerSource, quote(v[source]), headerSluice)
		}
		e.Source = name
	}
	e.Type, e.Tenant, e.Key, e.GivenID = v[typ], v[tenant], v[key], v[givenID]
	e.ContentType, e.TraceParent, e.TraceState = v[contentType], v[traceParent], v[traceState]
	if v[request] != "" {
		if err := readRequest(e, v[request]); err != nil {
			return fmt.Errorf("header %s: %w", headerRequest, err)
		}
	}
	return nil
}

var errTime = errors.New("want a time such as 2026-10-21T07:28:00.000Z")

// parseTime reads timeLayout and nothing else.
func parseTime(s string) (time.Time, error) {
	if len(s) != len(timeLayout) || s[len(s)-1] != 'Z' || s[len(s)-5] != '.' {
		return time.Time{}, fmt.Errorf("%s: %w", quote(s), errTime)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", quote(s), errTime)
	}
	return t, nil
}
