package ingress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

// Limits of how a body comes in.
const (
	bodyGrace   = 5 * time.Second        // until the first byte, and what is forgiven of the rate
	bodyRate    = 1 << 10                // bytes per second after that, at least
	bodyTime    = 30 * time.Second       // for the whole
	budgetWait  = 250 * time.Millisecond // for memory: the budget is shared, and somebody may just be giving some back
	lingerTime  = time.Second            // for what is left of one that was refused for its size
	lingerBytes = 4 << 20
	firstChunk  = 8 << 10 // bytes of memory to begin with; bodies up to that are read in one piece
)

// held is a share of the memory budget.
type held struct {
	budget *semaphore.Weighted
	n      int64
}

// grow takes n more bytes, waiting a little for them.
func (h *held) grow(ctx context.Context, n int64) error {
	if !h.budget.TryAcquire(n) {
		ctx, cancel := context.WithTimeout(ctx, budgetWait)
		defer cancel()
		if h.budget.Acquire(ctx, n) != nil {
			return errNoMemory
		}
	}
	h.n += n
	return nil
}

func (h *held) release() {
	if h.n > 0 {
		h.budget.Release(h.n)
		h.n = 0
	}
}

// readBody reads the whole body, at most limit bytes, and takes its memory from h first. A declared length above the
// limit is refused without reading. ctx is asked only while there is no memory.
func readBody(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int64, began time.Time, h *held) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errBodyTooLarge
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	src := &pacedBody{src: http.MaxBytesReader(w, r.Body, limit), control: http.NewResponseController(w), began: began}
	most := r.ContentLength
	if most < 0 {
		most = limit + 1 // one byte over, to see that it is too long
	}
	// Memory grows with what has come: a length costs nothing to declare, and the rest of the process shares the budget.
	body := []byte{}
	for {
		if len(body) == cap(body) {
			size := min(max(firstChunk, 2*int64(cap(body))), most)
			if err := h.grow(ctx, size-int64(cap(body))); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, size), body...)
		}
		n, err := src.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) == r.ContentLength:
			return body, nil
		case errors.Is(err, io.EOF) && r.ContentLength < 0:
			return body, nil
		case err != nil:
			return nil, bodyError(err)
		}
	}
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errBodyTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errBodySlow
	default:
		return errBodyBroken
	}
}

// pacedBody sets the connection's deadline before each read, so that a body that comes too slowly fails. The last one
// stays: should it pass while the broker is slow, net/http ends the contexts of this request and of later ones on the
// connection, which nothing here listens to (see call.trace).
type pacedBody struct {
	src     io.Reader
	control *http.ResponseController
	began   time.Time
	n       int64
}

// Read reads more of the body.
func (b *pacedBody) Read(p []byte) (int, error) {
	allowed := min(bodyGrace+time.Duration(b.n)*time.Second/bodyRate, bodyTime)
	b.control.SetReadDeadline(b.began.Add(allowed)) //nolint:errcheck // a writer without a connection has no slow one
	n, err := b.src.Read(p)
	b.n += int64(n)
	return n, err
}
