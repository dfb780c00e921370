package provider

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

type timeUnit string

const (
	unitSeconds timeUnit = "s"
	unitMillis  timeUnit = "ms"
	unitRFC3339 timeUnit = "rfc3339"
)

// timestamp says where a request's time is, how it is written, and how far it may be from ours.
type timestamp struct {
	from      selector // if field is empty
	field     string   // key in the signature header
	unit      timeUnit
	tolerance time.Duration // into the past
	future    time.Duration
}

// newTimestamp returns nil for a spec without from: the scheme has no time.
func newTimestamp(spec *timestampSpec) (*timestamp, error) {
	if spec == nil || spec.From == "" {
		return nil, nil
	}
	t := &timestamp{unit: timeUnit(spec.Unit)}
	var err error
	if key, ok := strings.CutPrefix(spec.From, "sig."); ok && key != "" {
		t.field = key
	} else if t.from, err = parseSource(spec.From); err != nil {
		return nil, fmt.Errorf("ts.from: %w", err)
	}
	switch t.unit {
	case unitSeconds, unitMillis, unitRFC3339:
	default:
		return nil, fmt.Errorf("ts.unit: %q: want s, ms or rfc3339", spec.Unit)
	}
	if t.tolerance, err = positiveDuration(spec.Tolerance); err != nil {
		return nil, fmt.Errorf("ts.tolerance: %w", err)
	}
	if t.future = t.tolerance; spec.Future != "" {
		if t.future, err = positiveDuration(spec.Future); err != nil {
			return nil, fmt.Errorf("ts.future: %w", err)
		}
	}
	return t, nil
}

func positiveDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q: want a duration above zero, such as 300s", s)
	}
	return d, nil
}

// text returns the timestamp as it was sent.
func (t *timestamp) text(req *Request, fields fieldsOf) (string, error) {
	if t.field != "" {
		return fields.one(t.field)
	}
	return t.from.one(req)
}

var errTimestamp = errors.New("not a timestamp")

// parse reads what format writes. Integers are digits alone, of up to 15 places: signs, fractions and exponents are what
// different receivers read differently.
func (t *timestamp) parse(text string) (time.Time, error) {
	if t.unit == unitRFC3339 {
		return time.Parse(time.RFC3339Nano, text)
	}
	if len(text) > 15 || strings.Trim(text, "0123456789") != "" {
		return time.Time{}, errTimestamp
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	if t.unit == unitMillis {
		return time.UnixMilli(n), nil
	}
	return time.Unix(n, 0), nil
}

func (t *timestamp) format(now time.Time) string {
	switch t.unit {
	case unitRFC3339:
		return now.UTC().Format(time.RFC3339)
	case unitMillis:
		return strconv.FormatInt(now.UnixMilli(), 10)
	default:
		return strconv.FormatInt(now.Unix(), 10)
	}
}

// check reports a time too far from now; a zero now allows any.
func (t *timestamp) check(at, now time.Time) error {
	if now.IsZero() {
		return nil
	}
	switch d := now.Sub(at); {
	case d > t.tolerance:
		return invalid(ReasonTooOld, fmt.Sprintf("signed %s ago, at most %s are allowed", d.Round(time.Second), t.tolerance))
	case d < -t.future: // not -d > future: the smallest duration has no negative
		return invalid(ReasonFuture, fmt.Sprintf("signed %s ahead of our clock, at most %s are allowed", d.Abs().Round(time.Second), t.future))
	}
	return nil
}
