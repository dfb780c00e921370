package event

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"
)

// cloudEvent is a CloudEvents 1.0 event as its JSON format or its HTTP headers have it.
type cloudEvent struct {
	spec, id, source, typ, contentType string
	others                             []attribute // optional and extension attributes, in the order they came
	body                               []byte
}

type attribute struct{ name, value string }

// take removes the attribute called name and returns its value; empty if there is none.
func (c *cloudEvent) take(name string) string {
	for i := range c.others {
		if c.others[i].name == name {
			value := c.others[i].value
			c.others = append(c.others[:i], c.others[i+1:]...)
			return value
		}
	}
	return ""
}

// set takes an attribute in.
func (c *cloudEvent) set(name, value string) error {
	switch name {
	case "specversion":
		c.spec = value
	case "id":
		c.id = value
	case "source":
		c.source = value
	case "type":
		c.typ = value
	case "datacontenttype":
		c.contentType = value
	case "time":
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			return fmt.Errorf("time %s: want RFC 3339, such as 2026-10-21T07:28:00Z", quote(value))
		}
		c.others = append(c.others, attribute{name, value})
	default:
		if !attributeName(name) {
			return fmt.Errorf("attribute %s: names have lower-case letters and digits only", quote(name))
		}
		c.others = append(c.others, attribute{name, value})
	}
	return nil
}

// check reports what CloudEvents requires and is not there.
func (c *cloudEvent) check() error {
	switch {
	case c.spec != specVersion:
		return fmt.Errorf("specversion is %s, want %q", quote(c.spec), specVersion)
	case c.id == "":
		return errors.New("id is missing")
	case c.source == "":
		return errors.New("source is missing")
	case c.typ == "":
		return errors.New("type is missing")
	}
	return nil
}

func attributeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// readCloudEvent reads one object of CloudEvents' JSON format. Its body is a slice of the input unless it was escaped
// or in base64.
func readCloudEvent(r *jsonReader[[]byte]) (*cloudEvent, error) {
	c := &cloudEvent{}
	var data, data64 []byte
	err := r.object(func(name string) (err error) {
		switch name {
		case "data":
			data, err = r.raw()
			return err
		case "data_base64":
			data64, err = readBase64(r)
			return err
		}
		value, set, err := readAttribute(r, name)
		if err != nil || !set {
			return err
		}
		return c.set(name, value)
	})
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	switch {
	case data != nil && data64 != nil:
		return nil, errors.New("data and data_base64 exclude each other")
	case data != nil:
		c.body, err = dataBytes(c.contentType, data)
	default:
		c.body = data64
	}
	return c, err
}

// readAttribute reads the value of an attribute; null leaves it unset.
func readAttribute(r *jsonReader[[]byte], name string) (value string, set bool, err error) {
	switch r.peek() {
	case '"':
		value, err = r.str()
		return value, true, err
	case '{', '[':
		return "", false, fmt.Errorf("attribute %s: want a string, a number or a boolean", quote(name))
	}
	raw, err := r.raw()
	if err != nil || string(raw) == "null" {
		return "", false, err
	}
	if standard(name) {
		return "", false, fmt.Errorf("attribute %s: want a string", name)
	}
	if strings.ContainsAny(string(raw), ".eE") && raw[0] != 't' && raw[0] != 'f' {
		return "", false, fmt.Errorf("attribute %s: want a whole number", quote(name))
	}
	return string(raw), true, nil
}

func standard(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time":
		return true
	}
	return false
}

func readBase64(r *jsonReader[[]byte]) ([]byte, error) {
	r.skipSpace()
	text, err := r.str()
	if err != nil {
		return nil, fmt.Errorf("data_base64: %w", err)
	}
	body, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("data_base64: not base64 with padding")
	}
	return body, nil
}

// dataBytes returns what member data stands for (CloudEvents JSON format §3.1): the JSON as it was written where the
// content type is JSON, the text of a string where it is another.
func dataBytes(contentType string, data []byte) ([]byte, error) {
	if contentType == "" || isJSON(contentType) {
		return data, nil
	}
	if data[0] != '"' {
		return nil, fmt.Errorf("data: want a string, or data_base64, where datacontenttype is %s", quote(contentType))
	}
	r := jsonReader[[]byte]{in: data}
	text, err := r.str()
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return []byte(text), nil
}

// isJSON reports whether a content type is application/json, text/json or any with suffix +json.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// embeddable reports whether body can stand as member data of a JSON document and be read back byte for byte.
func embeddable(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	r := jsonReader[[]byte]{in: body}
	raw, err := r.raw()
	return err == nil && len(raw) == len(body)
}
