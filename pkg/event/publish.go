package event

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxPublished is how many events one request may carry.
const MaxPublished = 1000

// ErrMediaType says that the request's content type is none that events are published in. HTTP answers it with 415.
var ErrMediaType = errors.New("unsupported content type")

// Published is what one request to POST /v1/events carries.
type Published struct {
	// Events have what the sender said: Type, Key, GivenID, Origin, ContentType, Body (a slice of the request's where
	// it can be), TraceParent and TraceState of CloudEvents' tracing extension; in Headers, as ce-NAME, the attributes
	// of a CloudEvent that have no field; and in Tenant the tenant that the sender named, empty if none: whether it
	// may, the caller decides. ID, Time and Source are the caller's to set.
	Events []Event
	// Array reports whether they came as an array, so that the answer is one too.
	Array bool
}

// ParsePublished reads one event or an array of them in Sluice's own JSON ({"type", "data", "id"?, "key"?}), or a
// CloudEvent in binary, structured or batch mode (CloudEvents HTTP binding 1.0), as the content type and headers say.
// There is at least one event and at most MaxPublished; one that is wrong refuses all. The caller bounds body.
func ParsePublished(h http.Header, body []byte) (*Published, error) {
	media, err := mediaType(h)
	if err != nil {
		return nil, err
	}
	var p *Published
	switch {
	case media == StructuredType:
		p, err = parseJSON(body, false, readPublishedCloudEvent)
	case media == "application/cloudevents-batch+json":
		p, err = parseJSON(body, true, readPublishedCloudEvent)
	case h.Get("Ce-Specversion") != "":
		p, err = parseBinary(h, body)
	case media == "application/json" || media == "":
		p, err = parseJSON(body, startsArray(body), readOwn)
	default:
		return nil, fmt.Errorf("%w %s: want application/json, %s, application/cloudevents-batch+json, or headers ce-…",
			ErrMediaType, quote(media), StructuredType)
	}
	if err != nil {
		return nil, err
	}
	for i := range p.Events {
		if err := p.Events[i].validateSent(); err != nil {
			return nil, p.at(i, err)
		}
	}
	return p, nil
}

// SetIdempotencyKey gives the events that their sender did not name the request's Idempotency-Key as GivenID; in an
// array with "/" and the event's index, from 0. An empty key does nothing.
func (p *Published) SetIdempotencyKey(key string) error {
	if key == "" {
		return nil
	}
	// Room for the index, so that a key is right or wrong whatever it comes with.
	if err := checkText("Idempotency-Key", key, MaxAttribute-len("/999")); err != nil {
		return err
	}
	for i := range p.Events {
		if p.Events[i].GivenID != "" {
			continue
		}
		p.Events[i].GivenID = key
		if p.Array {
			p.Events[i].GivenID = key + "/" + strconv.Itoa(i)
		}
	}
	return nil
}

// at says which event of an array err is about.
func (p *Published) at(i int, err error) error {
	if !p.Array {
		return err
	}
	return fmt.Errorf("[%d]: %w", i, err)
}

// mediaType returns the request's media type, lower case, without parameters; empty if it names none.
func mediaType(h http.Header) (string, error) {
	values := h.Values("Content-Type")
	if len(values) > 1 {
		return "", fmt.Errorf("%w: header content-type is there twice", ErrMediaType)
	}
	if len(values) == 0 || values[0] == "" {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", fmt.Errorf("%w %s: %w", ErrMediaType, quote(values[0]), err)
	}
	if charset := params["charset"]; h.Get("Ce-Specversion") == "" && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", fmt.Errorf("%w: charset %s, want utf-8", ErrMediaType, quote(charset))
	}
	return media, nil
}

func startsArray(body []byte) bool {
	r := jsonReader[[]byte]{in: body}
	return r.peek() == '['
}

// parseJSON reads one event, or an array of them, with read.
func parseJSON(body []byte, array bool, read func(*jsonReader[[]byte], *Event) error) (*Published, error) {
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	p := &Published{Array: array}
	r := jsonReader[[]byte]{in: body}
	one := func(i int) error {
		if i >= MaxPublished {
			return fmt.Errorf("more than %d events in one request", MaxPublished)
		}
		p.Events = append(p.Events, Event{})
		if err := read(&r, &p.Events[i]); err != nil {
			return p.at(i, err)
		}
		return nil
	}
	var err error
	if array {
		err = r.array(one)
	} else {
		err = one(0)
	}
	if err != nil {
		return nil, err
	}
	if len(p.Events) == 0 {
		return nil, errors.New("the array has no event")
	}
	return p, r.end()
}

// readOwn reads an event in Sluice's own JSON.
func readOwn(r *jsonReader[[]byte], e *Event) error {
	e.ContentType = "application/json"
	err := r.object(func(name string) (err error) {
		r.skipSpace()
		switch name {
		case "type":
			e.Type, err = r.str()
		case "key":
			e.Key, err = r.str()
		case "id":
			e.GivenID, err = r.str()
		case "data":
			e.Body, err = r.raw()
			return err
		case "specversion":
			return errors.New("this is a CloudEvent: send it with content-type " + StructuredType)
		default:
			return fmt.Errorf("unknown member %s: want type, data, id and key", quote(name))
		}
		if err != nil {
			return fmt.Errorf("%s: want a string: %w", name, err)
		}
		return nil
	})
	if err == nil && e.Body == nil {
		err = errors.New("data is missing")
	}
	return err
}

func readPublishedCloudEvent(r *jsonReader[[]byte], e *Event) error {
	c, err := readCloudEvent(r)
	if err != nil {
		return err
	}
	if c.contentType == "" && c.body != nil {
		c.contentType = "application/json" // what its absence means there
	}
	return c.publish(e)
}

// parseBinary reads a CloudEvent in binary mode: attributes in headers ce-NAME, the body as it is.
func parseBinary(h http.Header, body []byte) (*Published, error) {
	c := &cloudEvent{contentType: h.Get("Content-Type"), body: body}
	for name, values := range h {
		name, ok := cutPrefixFold(name, "ce-")
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		if len(values) != 1 {
			return nil, fmt.Errorf("header ce-%s is there twice", name)
		}
		if name == "datacontenttype" {
			return nil, errors.New("header ce-datacontenttype: in binary mode it is content-type")
		}
		value, err := headerText(values[0])
		if err != nil {
			return nil, fmt.Errorf("header ce-%s: %w", name, err)
		}
		if err := c.set(name, value); err != nil {
			return nil, err
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Published{Events: make([]Event, 1)}
	return p, c.publish(&p.Events[0])
}

// headerText undoes what CloudEvents' HTTP binding §3.1.3.2 does to a value: quotes around it, then percent-encoding.
func headerText(value string) (string, error) {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		var out strings.Builder
		for i := 1; i < len(value)-1; i++ {
			if value[i] == '\\' && i+1 < len(value)-1 {
				i++
			}
			out.WriteByte(value[i])
		}
		value = out.String()
	}
	if !strings.Contains(value, "%") {
		return value, nil
	}
	text, err := url.PathUnescape(value)
	if err != nil {
		return "", errors.New("a percent sign without two hexadecimal digits: write %25")
	}
	return text, nil
}

// publish fills e with what the CloudEvent says.
func (c *cloudEvent) publish(e *Event) error {
	e.Type, e.GivenID, e.Origin, e.ContentType, e.Body = c.typ, c.id, c.source, c.contentType, c.body
	e.Tenant = c.take(attrTenant)
	if e.Key = c.take(attrKey); e.Key == "" {
		e.Key = c.take("partitionkey") // CloudEvents' own extension for it
	}
	e.TraceParent, e.TraceState = c.take(attrParent), c.take(attrState)
	for _, a := range c.others {
		if e.Headers == nil {
			e.Headers = make(map[string]string, len(c.others))
		}
		// These become headers of deliveries, where a control character would break the request.
		if err := checkText("attribute "+a.name, a.value, MaxAttribute); err != nil {
			return err
		}
		e.Headers["ce-"+a.name] = a.value
	}
	return nil
}
