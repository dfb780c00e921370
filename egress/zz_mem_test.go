package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// temporary: client side alone, the server is another process
func TestZZServer(t *testing.T) {
	mode := os.Getenv("ZZMODE")
	if mode == "" { t.Skip() }
	n := 300
	var got sync.WaitGroup
	got.Add(n)
	serve := func(c *rawConn) { c.request(); got.Done(); got.Wait(); c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); c.hang() }
	var s *rawServer
	if mode == "tls" {
		ca := newAuthority(t, "ca")
		os.WriteFile("/tmp/egress/mem/ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600)
		s = startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, func(c *rawConn, _ tls.ConnectionState) { serve(c) })
	} else {
		s = startRaw(t, serve)
	}
	fmt.Println("URL " + s.url)
	os.Stdin.Read(make([]byte, 1))
}

func TestZZMem(t *testing.T) {
	if os.Getenv("ZZMODE") != "" { t.Skip() }
	for _, mode := range []string{"plain", "tls"} {
		cmd := exec.Command(os.Args[0], "-test.run", "TestZZServer$", "-test.v")
		cmd.Env = append(os.Environ(), "ZZMODE="+mode)
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		cmd.Start()
		url := ""
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if u, ok := strings.CutPrefix(sc.Text(), "URL "); ok { url = u; break }
		}
		pool := x509.NewCertPool()
		if b, err := os.ReadFile("/tmp/egress/mem/ca.pem"); err == nil { pool.AppendCertsFromPEM(b) }
		s := newSender(t, options{roots: pool})
		var a, b runtime.MemStats
		runtime.GC(); runtime.GC(); runtime.ReadMemStats(&a)
		g := runtime.NumGoroutine()
		var wg sync.WaitGroup
		for range 300 { wg.Go(func() { if r := send(t, s, endpointAt(url)); r.Outcome != OutcomeDelivered { t.Error(r) } }) }
		wg.Wait()
		runtime.GC(); runtime.GC(); runtime.GC(); runtime.ReadMemStats(&b)
		t.Logf("%s: %d conns idle, heap %d B/conn, goroutines +%d", mode, s.transport.(*client).pool.count, (int64(b.HeapAlloc)-int64(a.HeapAlloc))/300, runtime.NumGoroutine()-g)
		s.Close(); in.Close(); cmd.Wait()
	}
}
