package store

// Secret is text that must not leave by a log, an error, the API or a trace: it prints and encodes to JSON as
// "[redacted]". Reveal gives the text to code that needs it. Stores seal it at rest.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]", so that %#v keeps it too.
func (s Secret) GoString() string { return redacted }

// MarshalJSON writes "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML writes "[redacted]".
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }
