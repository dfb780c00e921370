package store

import "errors"

// Errors that callers branch on.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")                                 // a name is taken
	ErrManaged     = errors.New("managed by the configuration file")              // change it there
	ErrConflict    = errors.New("changed meanwhile")                              // a compare-and-set lost
	ErrGone        = errors.New("no longer kept")                                 // its body is past retention
	ErrData        = errors.New("refused for its data")                           // repeating the same batch cannot succeed
	ErrUnavailable = errors.New("the store does not answer")                      // nothing is known to have happened; it may be back later
	ErrSealed      = errors.New("sealed with an encryption key that is not here") // see SLUICE_ENCRYPTION_KEY
)
