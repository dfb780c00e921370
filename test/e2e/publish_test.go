package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPublishedEventsArriveUnderTheIDsAnswered(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	c := newConfig(t, dir).endpoints(sink.endpoint("order.*"))
	serve(t, dir, c)
	url := "http://" + c.listen("ingress") + "/v1/events"

	got := post(t, url, headers("Content-Type", "application/json"), []byte(`{"type": "order.paid", "data": {"seq": 1, "amount": 1.50}}`))
	var one struct{ ID string }
	if err := json.Unmarshal(got.body, &one); err != nil || got.status != http.StatusAccepted {
		t.Fatalf("one event: got status %d, %s", got.status, got.body)
	}
	got = post(t, url, headers("Content-Type", "application/json"),
		[]byte(`[{"type": "order.sent", "data": {"seq": 2}}, {"type": "other", "data": {"seq": 3}}, {"type": "order.paid", "data": {"seq": 4}}]`))
	var many struct{ IDs []string }
	if err := json.Unmarshal(got.body, &many); err != nil || got.status != http.StatusAccepted || len(many.IDs) != 3 {
		t.Fatalf("three events: got status %d, %s", got.status, got.body)
	}
	got = post(t, url, headers("Content-Type", "text/plain", "Ce-Specversion", "1.0", "Ce-Id", "5", "Ce-Source", "/shop", "Ce-Type", "order.binary"), []byte(`"seq": 5, and not JSON`))
	var binaryMode struct{ ID string }
	if err := json.Unmarshal(got.body, &binaryMode); err != nil || got.status != http.StatusAccepted {
		t.Fatalf("a CloudEvent in binary mode: got status %d, %s", got.status, got.body)
	}

	want := map[string]string{
		one.ID:        `order.paid {"seq": 1, "amount": 1.50}`,
		many.IDs[0]:   `order.sent {"seq": 2}`,
		many.IDs[2]:   `order.paid {"seq": 4}`,
		binaryMode.ID: `order.binary "seq": 5, and not JSON`,
	}
	for _, a := range sink.waitOK(t, len(want), 10*time.Second) {
		if got := a.header.Get("Sluice-Event-Type") + " " + string(a.body); got != want[a.EventID] || !a.Signed {
			t.Errorf("%s: got %q, signed rightly %v, want %q", a.EventID, got, a.Signed, want[a.EventID])
		}
	}

	for name, body := range map[string]string{
		"no type":               `{"data": 1}`,
		"no JSON":               `{"type": "a", "data": `,
		"an array with one bad": `[{"type": "order.paid", "data": {"seq": 9}}, {"data": 1}]`,
		"too many":              "[" + strings.Repeat(`{"type":"order.paid","data":9},`, 1000) + `{"type":"order.paid","data":9}]`,
	} {
		if got := post(t, url, headers("Content-Type", "application/json"), []byte(body)); got.status/100 != 4 || !strings.Contains(got.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: got status %d, %s", name, got.status, got.body)
		}
	}
	if got := len(sink.all()); got != len(want) {
		t.Errorf("got %d deliveries, want %d: all or nothing of an array is taken", got, len(want))
	}
}

func TestSameDeliveryTwiceIsDeliveredOnce(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	github := presets[0]
	c := newConfig(t, dir).sources(github.source()).endpoints(sink.endpoint())
	serve(t, dir, c)
	send := func(id, body string) {
		t.Helper()
		h := jsonBody(github.sign(github.secret, body, time.Now()))
		h.Set("X-GitHub-Delivery", id)
		if got := post(t, "http://"+c.listen("ingress")+"/in/github", h, []byte(body)); got.status != http.StatusOK {
			t.Fatalf("%s: got status %d, want 200 for a duplicate too", id, got.status)
		}
	}
	send("first", `{"seq": 1}`)
	send("first", `{"seq": 1}`) // GitHub's own repetition
	send("first", `{"seq": 2}`) // the same id with another body is another event
	for i := range 20 {         // and the last thing in line behind the duplicate
		send(fmt.Sprint("later-", i), fmt.Sprintf(`{"seq": %d}`, 10+i))
	}
	seen := map[int64]int{}
	for _, a := range sink.waitOK(t, 22, 10*time.Second) {
		seen[a.Seq]++
	}
	if seen[1] != 1 || seen[2] != 1 || len(seen) != 22 {
		t.Errorf("deliveries by event: got %v, want each of 22 once", seen)
	}
}
