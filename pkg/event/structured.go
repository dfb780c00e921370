package event

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// StructuredType is the content type of what EncodeStructured writes.
const StructuredType = "application/cloudevents+json"

// Names of extension attributes in the structured form, beside those that the headers of a message have.
const (
	attrTenant  = "tenant"
	attrKey     = "key"
	attrGivenID = "givenid"
	attrSluice  = "sluicesource"
	attrParent  = "traceparent"
	attrState   = "tracestate"
	attrRequest = "sluicerequest" // a string with what header sluice-request has
)

// EncodeStructured writes e as one JSON document of type StructuredType. A body that is JSON by content type and in
// fact, without space around it, is member data as it stands; any other is data_base64.
func EncodeStructured(e *Event) []byte {
	out := make([]byte, 0, headersSize(e)+len(e.Body)+256)
	out = append(out, `{"specversion":"`+specVersion+`"`...)
	attribute := func(name, value string) {
		if value != "" {
			out = appendMember(out, name, false)
			out = appendJSONString(out, value)
		}
	}
	attribute("id", e.ID.String())
	attribute("source", e.CloudSource())
	attribute("type", e.Type)
	attribute("time", e.Time.UTC().Format(timeLayout))
	attribute("datacontenttype", e.ContentType)
	attribute(attrTenant, e.Tenant)
	attribute(attrKey, e.Key)
	attribute(attrGivenID, e.GivenID)
	if e.Origin != "" {
		attribute(attrSluice, e.Source)
	}
	attribute(attrParent, e.TraceParent)
	attribute(attrState, e.TraceState)
	if hasRequest(e) {
		attribute(attrRequest, string(appendRequest(nil, e)))
	}
	out = appendData(out, e)
	return append(out, '}')
}

func appendData(out []byte, e *Event) []byte {
	if e.Body == nil {
		return out
	}
	if (e.ContentType == "" || isJSON(e.ContentType)) && embeddable(e.Body) {
		out = appendMember(out, "data", false)
		return append(out, e.Body...)
	}
	out = append(appendMember(out, "data_base64", false), '"')
	return append(base64.StdEncoding.AppendEncode(out, e.Body), '"')
}

// DecodeStructured reads what EncodeStructured wrote, with space and members in any order and way that JSON allows.
// The body may be a slice of doc. Unknown attributes are ignored. Other CloudEvents than Sluice's own, whose ids are
// not event ids, are refused: publishers' are read by ParsePublished.
func DecodeStructured(doc []byte) (*Event, error) {
	e, err := decodeStructured(doc)
	if err != nil {
		return nil, fmt.Errorf("decode structured event: %w", err)
	}
	return e, nil
}

func decodeStructured(doc []byte) (*Event, error) {
	if !utf8.Valid(doc) {
		return nil, errNotUTF8
	}
	r := jsonReader[[]byte]{in: doc}
	c, err := readCloudEvent(&r)
	if err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	e := &Event{Type: c.typ, ContentType: c.contentType, Body: c.body}
	if e.ID, err = ParseID(c.id); err != nil {
		return nil, err
	}
	if e.Time, err = parseTime(c.take("time")); err != nil {
		return nil, err
	}
	if name := c.take(attrSluice); name != "" {
		e.Source, e.Origin = name, c.source
	} else if name, ok := strings.CutPrefix(c.source, slash); ok {
		e.Source = name
	} else {
		return nil, fmt.Errorf("source %s: want / and a source's name, or attribute %s", quote(c.source), attrSluice)
	}
	e.Tenant, e.Key, e.GivenID = c.take(attrTenant), c.take(attrKey), c.take(attrGivenID)
	e.TraceParent, e.TraceState = c.take(attrParent), c.take(attrState)
	if request := c.take(attrRequest); request != "" {
		if err := readRequest(e, request); err != nil {
			return nil, fmt.Errorf("%s: %w", attrRequest, err)
		}
	}
	return e, e.Validate()
}

var errNotUTF8 = errors.New("JSON is not valid UTF-8")
