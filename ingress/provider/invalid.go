package provider

import "errors"

// Reason is why a request is not valid, from a closed set.
type Reason string

// The reasons of an InvalidError.
const (
	ReasonMethod    Reason = "method"    // not a delivery, and no challenge
	ReasonMissing   Reason = "missing"   // a header or field that must be there is not, or is empty
	ReasonRepeated  Reason = "repeated"  // a header or field that must be there once is there twice
	ReasonMalformed Reason = "malformed" // not in the form that the provider documents
	ReasonMismatch  Reason = "mismatch"  // right in form; made with another secret, or for other bytes
	ReasonTooOld    Reason = "too_old"   // genuine, and longer ago than allowed
	ReasonFuture    Reason = "future"    // genuine, and further ahead than allowed
)

// InvalidError says why a request was refused. Its text holds nothing that came with the request, and no secret.
type InvalidError struct {
	Reason Reason
	Detail string // for people: what was found, and where
}

// Error returns the detail.
func (e *InvalidError) Error() string { return e.Detail }

// ErrNoURL is returned when the scheme signs the URL that the provider called, and that is not known. This is a fault of
// ours, not of the request.
var ErrNoURL = errors.New("the provider signs its URL: set ingress.public_url")

func invalid(r Reason, detail string) error { return &InvalidError{Reason: r, Detail: detail} }

// progress orders reasons by how far a request came, so that the most telling one of several schemes is reported.
func progress(err error) int {
	var inv *InvalidError
	if !errors.As(err, &inv) {
		return 9 // ours, not theirs
	}
	switch inv.Reason {
	case ReasonTooOld, ReasonFuture:
		return 5
	case ReasonMismatch:
		return 4
	case ReasonMalformed:
		return 3
	case ReasonRepeated:
		return 2
	case ReasonMissing:
		return 1
	default:
		return 0
	}
}
