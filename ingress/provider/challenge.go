package provider

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// challenge is a request that asks whether we are there; it is answered and nothing is published.
type challenge struct {
	method   string
	when     []condition
	verified bool // it is signed like any other, and answered only when it verifies
	status   int
	mime     string
	body     template
}

// condition holds when the text is there, and, if equals is set, is that.
type condition struct {
	sel    selector
	equals string
}

func newChallenge(spec challengeSpec) (challenge, error) {
	c := challenge{method: spec.Method, verified: spec.Verified, status: spec.Reply.Status, mime: spec.Reply.ContentType}
	if c.method == "" || len(spec.When) == 0 && c.method == http.MethodPost {
		return c, errors.New("challenge: want a method, and a when unless no delivery has that method")
	}
	for _, text := range spec.When {
		source, equals, _ := strings.Cut(text, "=")
		sel, err := parseSource(source)
		if err != nil {
			return c, fmt.Errorf("challenge.when: %w", err)
		}
		c.when = append(c.when, condition{sel, equals})
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
	var err error
	if c.body, err = parseTemplate(spec.Reply.Body); err != nil {
		return c, fmt.Errorf("challenge.reply.body: %w", err)
	}
	if c.body.has(timestampText) || c.body.has(signatureField) {
		return c, errors.New("challenge.reply.body: a reply knows no timestamp and no signature")
	}
	return c, nil
}

func (c *challenge) is(req *Request) bool {
	if req.Method != c.method {
		return false
	}
	for _, w := range c.when {
		text, _ := w.sel.lookup(req)
		if text == "" || w.equals != "" && text != w.equals {
			return false
		}
	}
	return true
}

func (c *challenge) reply(req *Request) (*Reply, error) {
	if err := c.body.check(req); err != nil {
		return nil, err
	}
	return &Reply{Status: c.status, ContentType: c.mime, Body: string(c.body.render(req, &presented{}))}, nil
}
