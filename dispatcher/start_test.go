package dispatcher

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

func TestStopAndOutageAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: storetest.NewMemory(), sender: newSender(), config: newConfig()}
		w.store.SetDown(true)
		w.start(Defaults())
		time.Sleep(time.Minute)
		w.end() // wants nil
		w.start(Defaults())
		w.store.SetDown(false)
		w.endpoint(1)
		time.Sleep(5 * time.Second)
		m := w.publish()
		w.wantState(m, 1, store.DeliveryDelivered)
		w.end()
	})
}
