package atrest

import (
	"fmt"

	"github.com/sluicehq/sluice/store"
)

// Numbers of the ends of deliveries in rows, part of partial indexes: a higher one replaces a lower one, but dead and
// canceled do not each other.
const (
	Dead      = 1
	Canceled  = 2
	Delivered = 3
)

// StateNumber is the number of the end of a delivery. Another state is refused for its data.
func StateNumber(s store.DeliveryState) (int64, error) {
	switch s {
	case store.DeliveryDead:
		return Dead, nil
	case store.DeliveryCanceled:
		return Canceled, nil
	case store.DeliveryDelivered:
		return Delivered, nil
	}
	return 0, fmt.Errorf("%.32q is no end of a delivery: %w", s, store.ErrData)
}

// StateName is the end of a delivery that has this number.
func StateName(n int64) store.DeliveryState {
	switch n {
	case Dead:
		return store.DeliveryDead
	case Canceled:
		return store.DeliveryCanceled
	}
	return store.DeliveryDelivered
}
