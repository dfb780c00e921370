package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// advice is an error, and in a second line what to do about it.
type advice struct {
	err error
	do  string
}

func advise(err error, format string, args ...any) error {
	return &advice{err: err, do: fmt.Sprintf(format, args...)}
}

// Error returns the error in one line and what to do in the next.
func (a *advice) Error() string { return a.err.Error() + "\n  " + a.do }
func (a *advice) Unwrap() error { return a.err }

// unreachable says why a sluice at base, a URL, did not answer. The error of net/http would repeat the whole URL.
func unreachable(base string, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	at := shownURL(base)
	var timeout net.Error
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (%w)", at, syscall.ECONNREFUSED)
	case errors.As(err, &name):
		return fmt.Errorf("%s: no address of %s is known (%w)", at, name.Name, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s in time (%w)", at, err)
	}
	return fmt.Errorf("no answer from %s: %w", at, err)
}

// shownURL returns a URL without what may be secret in it.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "the given URL"
	}
	return printable(u.Scheme + "://" + u.Host + strings.TrimSuffix(u.EscapedPath(), "/"))
}
