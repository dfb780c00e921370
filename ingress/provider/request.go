package provider

import "net/http"

// Request is what a provider sent, as far as schemes look at it.
type Request struct {
	Method string
	URL    string      // the public URL that the provider called, with its query; empty: not known
	Query  string      // raw query
	Header http.Header // canonical names
	Body   []byte      // exact bytes
}

// Reply is an answer to a provider.
type Reply struct {
	Status      int
	ContentType string // empty: none
	Body        string
}
