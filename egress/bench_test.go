package egress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

// receiverEnv makes the test binary a receiver in a process of its own, so that its CPU time is not the sender's.
const receiverEnv = "SLUICE_TEST_RECEIVER"

// runReceiver answers every request with 200 and nothing else, as cheaply as it can, until its standard input ends.
func runReceiver() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go receive(conn)
		}
	}()
	os.Stdin.Read(make([]byte, 1)) //nolint:errcheck // its end is the sign
}

func receive(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 8<<10)
	for {
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
			if v, ok := strings.CutPrefix(string(line), "content-length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			} else if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}

func startReceiverProcess(b *testing.B) (addr string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait() //nolint:errcheck // it ends with its standard input
	})
	addr, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSend makes signed attempts of 1 KiB to one endpoint on kept connections, one at a time and from 32
// goroutines. cpu-µs/op is user and system time of the sending process. The same with a tuned net/http.Transport and
// nothing else (no outcome, no bounds, no guard) is what the lean client is there to beat.
func BenchmarkSend(b *testing.B) {
	for _, workers := range []int{1, 32} {
		endpoint := endpointAt("")
		endpoint.Secrets = []store.SigningSecret{{Secret: secretNew}}
		a := &Attempt{Event: newEvent(strings.Repeat("x", 1024)), Endpoint: endpoint, Number: 1}
		b.Run(fmt.Sprintf("lean/workers=%d", workers), func(b *testing.B) {
			endpoint.URL = "http://" + startReceiverProcess(b) + "/hook"
			s := newSender(b, options{})
			runWorkers(b, workers, func() error {
				if res := s.Send(b.Context(), a); res.Outcome != OutcomeDelivered {
					return errors.New(res.Error)
				}
				return nil
			})
		})
		b.Run(fmt.Sprintf("net-http/workers=%d", workers), func(b *testing.B) {
			endpoint.URL = "http://" + startReceiverProcess(b) + "/hook"
			r := newReference(newSender(b, options{}).transport.(*client), 1024)
			defer r.close()
			signer, err := webhook.NewSigner(secretNew)
			if err != nil {
				b.Fatal(err)
			}
			runWorkers(b, workers, func() error { return sendByHTTP(b.Context(), r.http, signer, a) })
		})
	}
}

func sendByHTTP(ctx context.Context, rt http.RoundTripper, signer *webhook.Signer, a *Attempt) error {
	ctx, cancel := context.WithTimeout(ctx, a.Endpoint.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint.URL, bytes.NewReader(a.Event.Body))
	if err != nil {
		return err
	}
	now, id := time.Now(), a.Event.ID.String()
	signature, err := signer.Sign(id, now, a.Event.Body)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Webhook-Id": id, "Webhook-Timestamp": strconv.FormatInt(now.Unix(), 10), "Webhook-Signature": signature, "Content-Type": a.Event.ContentType,
		"User-Agent": "Sluice/1.2.3", "Sluice-Event-Type": a.Event.Type, "Sluice-Source": a.Event.Source, "Sluice-Attempt": "1",
	} {
		req.Header[name] = []string{value}
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// runWorkers makes b.N calls of do from workers goroutines.
func runWorkers(b *testing.B, workers int, do func() error) {
	b.Helper()
	b.ReportAllocs()
	before := cpuTime(b)
	var wg sync.WaitGroup
	work := make(chan struct{}, workers)
	for range workers {
		wg.Go(func() {
			for range work {
				if err := do(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}
