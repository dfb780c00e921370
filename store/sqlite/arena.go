package sqlite

import (
	"modernc.org/libc"
	"modernc.org/libc/sys/types"
)

const (
	arenaChunk = 256     // most statements bind less
	arenaKeep  = 1 << 20 // a chunk above it, for a large body, is given back after the statement
)

// arena is SQLite's memory for the values that a statement binds. Chunks never move, since what was bound before points
// into them.
type arena struct{ chunks []chunk }

type chunk struct {
	at         uintptr
	size, used int
}

// alloc returns n bytes, 0 if there is no memory.
func (a *arena) alloc(tls *libc.TLS, n int) uintptr {
	if len(a.chunks) == 0 || a.last().used+n > a.last().size {
		size := max(arenaChunk, n)
		if len(a.chunks) > 0 {
			size = max(size, 2*a.last().size)
		}
		at := libc.Xmalloc(tls, types.Size_t(size))
		if at == 0 {
			return 0
		}
		a.chunks = append(a.chunks, chunk{at: at, size: size})
	}
	last := a.last()
	at := last.at + uintptr(last.used)
	last.used += n
	return at
}

func (a *arena) last() *chunk { return &a.chunks[len(a.chunks)-1] }

// reset makes room for the next values. The last chunk, the largest, stays unless it is huge.
func (a *arena) reset(tls *libc.TLS) {
	if len(a.chunks) == 0 {
		return
	}
	last := *a.last()
	if last.size > arenaKeep {
		a.free(tls)
		return
	}
	for _, c := range a.chunks[:len(a.chunks)-1] {
		libc.Xfree(tls, c.at)
	}
	a.chunks = append(a.chunks[:0], chunk{at: last.at, size: last.size})
}

func (a *arena) free(tls *libc.TLS) {
	for _, c := range a.chunks {
		libc.Xfree(tls, c.at)
	}
	a.chunks = nil
}
