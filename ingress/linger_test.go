package ingress

import (
	"bytes"
	"net/http"
	"testing"
)

// A client that is still sending when the connection is closed gets a reset, and never reads why.
func TestClientHearsThatItsBodyIsTooLarge(t *testing.T) {
	t.Parallel()
	_, addr := listening(t)
	url := "http://" + addr + "/in/github"
	body := make([]byte, Defaults().MaxBody+1)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // net/http closes these connections at once
	t.Cleanup(client.CloseIdleConnections)
	for range 100 {
		resp, err := client.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("status %d, want 413", resp.StatusCode)
		}
	}
}
