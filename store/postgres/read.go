package postgres

import (
	"encoding/binary"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// These read columns in binary form.

func readInt8(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }
func readInt4(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }
func readInt2(b []byte) int16 { return int16(binary.BigEndian.Uint16(b)) }

// readDeliveryID reads columns event, endpoint, replay.
func readDeliveryID(v [][]byte) store.DeliveryID {
	return store.DeliveryID{Event: event.ID(v[0]), Endpoint: store.EndpointID(readInt4(v[1])), Replay: uint32(readInt4(v[2]))}
}

// queueColumns of q, as readQueued reads them.
const queueColumns = `q.event, q.endpoint, q.replay, q.next_at, q.held_until, q.first_attempt, q.queued_at, q.size, q.attempt,
	q.last_duration, q.reason, q.last_status, q.last_error`

func (s *Store) readQueued(v [][]byte) store.Queued {
	return store.Queued{
		ID: readDeliveryID(v), NextAt: s.fromDatabase(readInt8(v[3])), HeldUntil: s.fromDatabase(readInt8(v[4])),
		FirstAttempt: millis(readInt8(v[5])), QueuedAt: millis(readInt8(v[6])), Size: int(readInt4(v[7])), Attempt: int(readInt4(v[8])),
		LastDuration: fromMicros(readInt4(v[9])), Reason: reasonName(readInt2(v[10])), LastStatus: int(readInt2(v[11])), LastError: string(v[12]),
	}
}
