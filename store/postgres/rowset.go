package postgres

import (
	"encoding/binary"
	"strings"
)

// table is a table that rows are copied to.
type table struct {
	name     string
	columns  []column
	conflict string // what INSERT does with a row that is there already
}

type column struct {
	name  string
	array func(n int) *array // of its type
}

// names lists the columns.
func (t *table) names() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// rowset is rows for one table in the binary form of COPY: the number of columns, then each value behind its length
// (the manual's page of COPY). Values are appended in the order of the columns.
type rowset struct {
	*table
	buf []byte
	n   int
}

const copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // signature, flags, length of the extension

func newRowset(t *table, rows, bytes int) *rowset {
	buf := make([]byte, 0, len(copyHeader)+2+rows*(2+4*len(t.columns))+bytes)
	return &rowset{table: t, buf: append(buf, copyHeader...)}
}

func (r *rowset) row() {
	r.n++
	r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(len(r.columns)))
}

func (r *rowset) id(v [16]byte) {
	r.buf = append(append(r.buf, 0, 0, 0, 16), v[:]...)
}

func (r *rowset) int8(v int64) {
	r.buf = binary.BigEndian.AppendUint64(append(r.buf, 0, 0, 0, 8), uint64(v))
}

// int4 appends a number. Numbers beyond its size wrap, as those of endpoints, which are unsigned, do.
func (r *rowset) int4(v int64) {
	r.buf = binary.BigEndian.AppendUint32(append(r.buf, 0, 0, 0, 4), uint32(v))
}

func (r *rowset) int2(v int64) {
	r.buf = binary.BigEndian.AppendUint16(append(r.buf, 0, 0, 0, 2), uint16(v))
}

// bytes appends bytes, the empty ones too.
func (r *rowset) bytes(v []byte) {
	r.buf = append(binary.BigEndian.AppendUint32(r.buf, uint32(len(v))), v...)
}

// string appends text or bytes; nothing is NULL.
func (r *rowset) string(v string) {
	if v == "" {
		r.null()
		return
	}
	r.buf = append(binary.BigEndian.AppendUint32(r.buf, uint32(len(v))), v...)
}

func (r *rowset) null() { r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff) }

// copyText is the statement that takes the rows.
func (r *rowset) copyText() string {
	return "COPY " + r.name + " (" + r.names() + ") FROM STDIN (FORMAT binary)"
}

// copyData ends the rows.
func (r *rowset) copyData() []byte { return append(r.buf, 0xff, 0xff) }

// insert is the statement for rows some of which are there already, as arrays of the same values.
func (r *rowset) insert() statement {
	arrays := make([]*array, len(r.columns))
	params := make([]string, len(r.columns))
	for i, c := range r.columns {
		arrays[i], params[i] = c.array(r.n), param(i+1)
	}
	for b := r.buf[len(copyHeader):]; len(b) > 0; {
		b = b[2:]
		for _, a := range arrays {
			size := 4
			if n := int32(binary.BigEndian.Uint32(b)); n >= 0 {
				size += int(n)
			} else {
				a.null = true
			}
			a.buf = append(a.buf, b[:size]...)
			a.n++
			b = b[size:]
		}
	}
	return over("INSERT INTO "+r.name+" ("+r.names()+") SELECT * FROM unnest("+strings.Join(params, ", ")+") ON CONFLICT "+r.conflict, arrays...)
}
