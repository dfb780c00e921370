package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluicehq/sluice/pkg/dialguard"
)

// maxReason bounds Result.Error, in bytes.
const maxReason = 512

// reason says why an attempt did not deliver, in words of ours: what libraries and endpoints say may hold the URL, and
// what an endpoint says, after it has our request, may hold any secret of it.
func reason(status int, err error, timeout time.Duration) string {
	if err == nil {
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)))
	}
	text := describe(err)
	if stageOf(err) == stageAnswer && isTimeout(err) {
		text += fmt.Sprintf(" (the attempt may take %v)", timeout)
	}
	if status != 0 {
		text = fmt.Sprintf("HTTP %d, and then: %s", status, text)
	}
	return printable(text)
}

func describe(err error) string {
	if errors.Is(err, ErrAborted) || errors.Is(err, dialguard.ErrDenied) || errors.Is(err, errUnsendable) {
		return err.Error()
	}
	failed, ok := errors.AsType[*failure](err)
	switch {
	case !ok:
		return "internal error"
	case failed.stage == stageConnect:
		return "connect: " + describeConnect(failed.err)
	case failed.stage == stageTLS:
		return "tls: " + describeTLS(failed.err)
	}
	return describeAnswer(failed.err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// describeConnect leaves out the host and the address that package net puts before the cause.
func describeConnect(err error) string {
	ours := ""
	if errors.Is(err, dialguard.ErrUnavailable) {
		ours = dialguard.ErrUnavailable.Error() + ": "
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return ours + "no such host"
		case dns.IsTimeout:
			return ours + "host look-up timed out"
		}
		return ours + "host look-up failed: " + dns.Err
	}
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		return ours + cause.Error()
	}
	if isTimeout(err) {
		return ours + "timed out"
	}
	if ours != "" {
		return err.Error() // of dialguard
	}
	return "failed"
}

func describeTLS(err error) string {
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate is not for the endpoint's host but for " + certificateNames(host.Certificate)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if unknown.Cert != nil && unknown.Cert.Subject.String() == unknown.Cert.Issuer.String() {
			return "certificate is self-signed"
		}
		return "certificate is signed by an unknown authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore) {
			return "certificate is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.RFC3339)
		}
		if invalid.Reason == x509.Expired {
			return "certificate expired at " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
		}
		return "certificate is invalid: " + invalid.Error()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the endpoint does not speak TLS on this port"
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return "the endpoint refuses the handshake: " + alert.Err.Error() // one of TLS' own names
	}
	if errors.Is(err, errHandshake) {
		return err.Error()
	}
	if isTimeout(err) {
		return "handshake not finished in time"
	}
	if isCut(err) {
		return "connection closed in the handshake"
	}
	return err.Error() // of crypto/tls: about the protocol, before anything of ours was sent
}

// certificateNames lists some of what a certificate is for.
func certificateNames(cert *x509.Certificate) string {
	names := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		names = append(names[:len(names):len(names)], ip.String())
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > 3:
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

func describeAnswer(err error) string {
	switch {
	case errors.Is(err, errMalformed):
		return err.Error() // ours: it names the part and quotes nothing
	case errors.Is(err, errCut):
		return fmt.Sprintf("headers of more than %d bytes", maxHead)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no whole answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed in the middle of the answer"
	case isCut(err):
		return "connection closed instead of an answer"
	}
	return "connection failed"
}

// isCut reports whether the other side ended the connection.
func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// printable returns s as printable UTF-8 of at most maxReason bytes.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= maxReason {
		return s
	}
	end := maxReason
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
