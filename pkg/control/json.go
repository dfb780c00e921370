package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// Bounds of a JSON body besides its bytes. Without them validation, which keeps one error per value and the whole path
// of each, would take memory by the square of the body.
const (
	maxJSONDepth  = 16
	maxJSONValues = 10_000
	maxJSONKeys   = 1_000
	maxJSONKey    = 128 // bytes
)

// jsonFormat is JSON as the API takes and writes it.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		if _, first := v.(*any); first { // a body is read twice: to be validated, then into its struct
			if err := checkJSON(data); err != nil {
				return err
			}
		}
		return json.Unmarshal(data, v)
	},
}

// Field names count as written: {"Name": …} is an unknown field. The setting is global to huma and must not change
// while a server runs.
var _ = func() bool {
	huma.ValidateStrictCasing = true
	return true
}()

// checkJSON refuses what encoding/json lets through or huma cannot bound: duplicate keys (of which Go takes the last
// and others the first), text that is not UTF-8, and more of anything than an API body needs.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	c := jsonChecker{}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
		if err := c.next(token); err != nil {
			return err
		}
	}
}

// jsonChecker follows a stream of tokens. open has one entry per object or array that is open.
type jsonChecker struct {
	open         []jsonLevel
	values, keys int
}

type jsonLevel struct {
	seen   map[string]bool // keys of the object so far; nil for an array
	wanted bool            // in an object: the next token is a value
}

func (c *jsonChecker) next(token json.Token) error {
	if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
		c.open = c.open[:len(c.open)-1]
		return nil
	}
	if n := len(c.open); n > 0 && c.open[n-1].seen != nil {
		level := &c.open[n-1]
		if !level.wanted {
			level.wanted = true
			return c.key(level, token.(string))
		}
		level.wanted = false
	}
	if c.values++; c.values > maxJSONValues {
		return fmt.Errorf("more than %d values", maxJSONValues)
	}
	switch token {
	case json.Delim('{'):
		c.open = append(c.open, jsonLevel{seen: map[string]bool{}})
	case json.Delim('['):
		c.open = append(c.open, jsonLevel{})
	}
	if len(c.open) > maxJSONDepth {
		return fmt.Errorf("nested deeper than %d levels", maxJSONDepth)
	}
	return nil
}

func (c *jsonChecker) key(level *jsonLevel, key string) error {
	c.keys++
	switch {
	case c.keys > maxJSONKeys:
		return fmt.Errorf("more than %d keys", maxJSONKeys)
	case len(key) > maxJSONKey:
		return fmt.Errorf("key %.32q… is longer than %d bytes", key, maxJSONKey)
	case level.seen[key]:
		return fmt.Errorf("key %q twice in one object", key)
	}
	level.seen[key] = true
	return nil
}
