package egress

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/webhook"
)

// appendRequest appends the head of a's request, made at now, to dst; the event's body follows it on the wire as it is.
func (t *target) appendRequest(dst []byte, a *Attempt, now time.Time) ([]byte, error) {
	dst = append(dst, "POST "...)
	dst, err := t.appendURI(dst, a)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errUnsendable, err)
	}
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = append(dst, t.headers...)
	dst = t.appendEvent(dst, a)
	if dst, err = t.appendSignature(dst, a, now); err != nil {
		return dst, fmt.Errorf("%w: %w", errUnsendable, err)
	}
	if t.endpoint.Forward.Headers {
		dst = appendForwarded(dst, a.Event.Headers, t.names)
	}
	return append(dst, "\r\n"...), nil
}

func (t *target) appendURI(dst []byte, a *Attempt) (_ []byte, err error) {
	forward, e := t.endpoint.Forward, a.Event
	if path := t.path; forward.Path && e.Path != "" {
		if dst, err = appendPath(append(dst, strings.TrimSuffix(path, "/")...), e.Path); err != nil {
			return dst, err
		}
	} else {
		dst = append(dst, path...)
	}
	sep := byte('?')
	if t.query != "" {
		dst = append(append(dst, sep), t.query...)
		sep = '&'
	}
	if forward.Query && e.Query != "" {
		dst = appendURI(append(dst, sep), e.Query, &queryBytes)
	}
	return dst, nil
}

func (t *target) appendEvent(dst []byte, a *Attempt) []byte {
	e := a.Event
	if e.ContentType != "" && !t.names["content-type"] {
		dst = appendHeader(dst, "content-type", e.ContentType)
	}
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, int64(len(e.Body)), 10)
	dst = append(dst, "\r\n"...)
	dst = appendName(dst, "sluice-event-type", e.Type)
	dst = appendName(dst, "sluice-source", e.Source)
	dst = append(dst, "sluice-attempt: "...)
	dst = strconv.AppendInt(dst, int64(a.Number), 10)
	return append(dst, "\r\n"...)
}

func (t *target) appendSignature(dst []byte, a *Attempt, now time.Time) ([]byte, error) {
	id := a.Event.ID.String()
	dst = append(append(dst, webhook.HeaderID+": "...), id...)
	dst = append(dst, "\r\n"+webhook.HeaderTimestamp+": "...)
	dst = strconv.AppendInt(dst, now.Unix(), 10)
	dst = append(dst, "\r\n"...)
	if t.signer == nil {
		return dst, nil
	}
	signature, err := t.signer.Sign(id, now, a.Event.Body)
	if err != nil {
		return dst, err
	}
	dst = append(append(dst, webhook.HeaderSignature+": "...), signature...)
	return append(dst, "\r\n"...), nil
}
