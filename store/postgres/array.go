package postgres

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// array is a one-dimensional array parameter in PostgreSQL's binary form: number of dimensions, whether there are nulls,
// type of the elements, length, lower bound, and the elements, each behind its length (array_send in its source).
type array struct {
	buf   []byte
	n     int
	null  bool
	typ   uint32 // of the array
	fixed int    // bytes of an element; 0: they differ
}

const arrayHeader = 20

func newArray(typ, element uint32, fixed, n int) *array {
	size := fixed
	if size == 0 {
		size = 32 // a guess
	}
	a := &array{buf: make([]byte, arrayHeader, arrayHeader+n*(4+size)), typ: typ, fixed: fixed}
	binary.BigEndian.PutUint32(a.buf[8:], element)
	binary.BigEndian.PutUint32(a.buf[16:], 1)
	return a
}

func uuids(n int) *array  { return newArray(pgtype.UUIDArrayOID, pgtype.UUIDOID, 16, n) }
func int8s(n int) *array  { return newArray(pgtype.Int8ArrayOID, pgtype.Int8OID, 8, n) }
func int4s(n int) *array  { return newArray(pgtype.Int4ArrayOID, pgtype.Int4OID, 4, n) }
func int2s(n int) *array  { return newArray(pgtype.Int2ArrayOID, pgtype.Int2OID, 2, n) }
func texts(n int) *array  { return newArray(pgtype.TextArrayOID, pgtype.TextOID, 0, n) }
func byteas(n int) *array { return newArray(pgtype.ByteaArrayOID, pgtype.ByteaOID, 0, n) }

// int appends a number of the array's size. Numbers beyond it wrap, as those of endpoints, which are unsigned, do.
func (a *array) int(v int64) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(a.fixed))
	switch a.fixed {
	case 2:
		a.buf = binary.BigEndian.AppendUint16(a.buf, uint16(v))
	case 4:
		a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(v))
	default:
		a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(v))
	}
}

// id appends 16 bytes.
func (a *array) id(v [16]byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 16)
	a.buf = append(a.buf, v[:]...)
}

// bytes appends bytes, the empty ones too.
func (a *array) bytes(v []byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(v)))
	a.buf = append(a.buf, v...)
}

// string appends text or bytes; nothing is NULL.
func (a *array) string(v string) {
	if v == "" {
		a.nothing()
		return
	}
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(v)))
	a.buf = append(a.buf, v...)
}

// nothing appends NULL.
func (a *array) nothing() {
	a.n++
	a.null = true
	a.buf = binary.BigEndian.AppendUint32(a.buf, ^uint32(0))
}

// done returns the parameter. The array is not to be appended to any more.
func (a *array) done() []byte {
	binary.BigEndian.PutUint32(a.buf[0:], 1)
	if a.null {
		binary.BigEndian.PutUint32(a.buf[4:], 1)
	}
	binary.BigEndian.PutUint32(a.buf[12:], uint32(a.n))
	return a.buf
}

// over makes a statement whose parameters are arrays.
func over(text string, arrays ...*array) statement {
	st := statement{text: text}
	for _, a := range arrays {
		st.values, st.types = append(st.values, a.done()), append(st.types, a.typ)
	}
	return st
}

// int8 adds a number as the statement's next parameter.
func (st statement) int8(v int64) statement {
	st.values = append(st.values, binary.BigEndian.AppendUint64(nil, uint64(v)))
	st.types = append(st.types, pgtype.Int8OID)
	return st
}

// id adds an id as the statement's next parameter.
func (st statement) id(v [16]byte) statement {
	st.values = append(st.values, v[:])
	st.types = append(st.types, pgtype.UUIDOID)
	return st
}
