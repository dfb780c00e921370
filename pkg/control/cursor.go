package control

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// A cursor says where the next page of a list begins: one letter for the list and the key of the last entry shown, so
// that one list's cursor is refused by another. It grants nothing: a forged one is only another place in a list whose
// entries are checked as always.
const (
	sourceCursor     = "s"
	endpointCursor   = "p"
	eventCursor      = "e"
	deliveryCursor   = "d"
	quarantineCursor = "q"
)

var errCursor = errors.New("is not a cursor of this list, take next_cursor of the page before")

func encodeCursor(list string, position []byte) string { return list + event.EncodeBase32(position) }

// decodeCursor reads what encodeCursor wrote into position. A zero position is refused: it would mean the first page.
func decodeCursor(list, cursor string, position []byte) error {
	rest, ok := strings.CutPrefix(cursor, list)
	if !ok || event.DecodeBase32(position, rest) != nil {
		return errCursor
	}
	for _, b := range position {
		if b != 0 {
			return nil
		}
	}
	return errCursor
}

func encodeNumberCursor(list string, n uint32) string {
	return encodeCursor(list, binary.BigEndian.AppendUint32(nil, n))
}

// decodeNumberCursor reads a cursor; the empty one is 0, the first page.
func decodeNumberCursor(list, cursor string) (uint32, error) {
	if cursor == "" {
		return 0, nil
	}
	var b [4]byte
	err := decodeCursor(list, cursor, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func encodeEventCursor(id event.ID) string { return encodeCursor(eventCursor, id[:]) }

func decodeEventCursor(cursor string) (id event.ID, err error) {
	if cursor == "" {
		return id, nil
	}
	err = decodeCursor(eventCursor, cursor, id[:])
	return id, err
}

func encodeDeliveryCursor(id store.DeliveryID) string {
	b := append([]byte(nil), id.Event[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(id.Endpoint))
	return encodeCursor(deliveryCursor, binary.BigEndian.AppendUint32(b, id.Replay))
}

func decodeDeliveryCursor(cursor string) (id store.DeliveryID, err error) {
	if cursor == "" {
		return id, nil
	}
	var b [24]byte
	if err := decodeCursor(deliveryCursor, cursor, b[:]); err != nil {
		return id, err
	}
	return store.DeliveryID{
		Event:    event.ID(b[:16]),
		Endpoint: store.EndpointID(binary.BigEndian.Uint32(b[16:])),
		Replay:   binary.BigEndian.Uint32(b[20:]),
	}, nil
}

func encodeQuarantineCursor(number int64) string {
	return encodeCursor(quarantineCursor, binary.BigEndian.AppendUint64(nil, uint64(number)))
}

func decodeQuarantineCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	var b [8]byte
	if err := decodeCursor(quarantineCursor, cursor, b[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(b[:])
	if n > math.MaxInt64 {
		return 0, errCursor
	}
	return int64(n), nil
}
