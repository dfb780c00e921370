package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The data directory is on a file system of 256 MiB of its own, in a mount namespace that goes with the process.
func TestFullDiskPushesBackAndLosesNothing(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	github := presets[0]
	c := newConfig(t, dir).sources(github.source()).endpoints(sink.endpoint())
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	c["data_dir"] = filepath.Join(small, "data")
	p := &process{t: t, dir: dir, ops: c.listen("ops")}
	p.args = []string{"serve", "--config", c.write(t, dir)}
	p.wrapper = []string{"unshare", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=256m tmpfs "$0" && exec "$@"`, small}
	t.Cleanup(p.cleanUp)
	p.start()

	accepted := 0
	send := func() reply {
		t.Helper()
		body := fmt.Sprintf(`{"seq": %d, "pad": "%01000d"}`, accepted, 0)
		h := jsonBody(github.sign(github.secret, body, time.Now()))
		h.Set("X-GitHub-Delivery", fmt.Sprint("delivery-", accepted))
		begin := time.Now()
		r := post(t, "http://"+c.listen("ingress")+"/in/github", h, []byte(body))
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("status %d took %v", r.status, took)
		}
		if r.status == http.StatusOK {
			accepted++
		}
		return r
	}
	for range 50 {
		if r := send(); r.status != http.StatusOK {
			t.Fatalf("with room: got status %d", r.status)
		}
	}
	filler := filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "root", small, "filler")
	fill(t, filler)
	eventually(t, 60*time.Second, "push-back", func() error {
		r := send()
		if r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return wantStatus(r, http.StatusServiceUnavailable)
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "an accepted event with room again", func() error { return wantStatus(send(), http.StatusOK) })

	seen := map[int64]bool{}
	sink.wait(t, 60*time.Second, fmt.Sprintf("all %d accepted events", accepted), func(as []arrival) bool {
		for _, a := range as {
			seen[a.Seq] = true
		}
		for seq := range int64(accepted) {
			if !seen[seq] {
				return false
			}
		}
		return true
	})
}

// fill writes to path until not a byte more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
}
