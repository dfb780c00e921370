package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How a receiver's endpoint behaves.
const (
	behaveOK     = "ok"     // 200 at once, or after Delay
	behaveHang   = "hang"   // reads the request and never answers
	behaveRefuse = "refuse" // closes every connection at once
)

// behavior is what the driver asks of an endpoint.
type behavior struct {
	Endpoint int           `json:"endpoint"`
	Mode     string        `json:"mode"`
	Delay    time.Duration `json:"delay"`
}

// receiveMain is the receiver's process: it listens for so many endpoints, each on an address of its own.
func receiveMain(args []string) error {
	fs := flag.NewFlagSet("role-receive", flag.ContinueOnError)
	endpoints := fs.Int("endpoints", 1, "how many")
	events := fs.Int64("events", 1<<20, "event numbers stay below it")
	secret := fs.String("secret", "", "whsec_… that deliveries are signed with; empty: not checked")
	if err := fs.Parse(args); err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(*secret, "whsec_"))
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	rc := &receiver{key: key, begin: time.Now()}
	defer rc.conns.Wait()
	defer cancel()
	var addrs []string
	for i := range *endpoints {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 2+i))
		if err != nil {
			return err
		}
		addrs = append(addrs, ln.Addr().String())
		rc.endpoints = append(rc.endpoints, newEndpoint(*events))
		rc.conns.Go(func() { rc.accept(ctx, ln, rc.endpoints[i]) })
	}
	return serveOps(os.Stdin, os.Stdout, ops{
		"addrs":  op(func(struct{}) (any, error) { return addrs, nil }),
		"behave": op(func(b behavior) (any, error) { rc.endpoints[b.Endpoint].behave.Store(&b); return nil, nil }),
		"window": op(func(w windowArgs) (any, error) { rc.open(w); return nil, nil }),
		"stats":  op(func(a statsArgs) (any, error) { return rc.stats(a), nil }),
		"trace":  op(func(a traceArgs) (any, error) { return rc.endpoints[a.Endpoint].trace(a.From, rc.begin), nil }),
	})
}

// receiver takes deliveries, answers at once and keeps count.
type receiver struct {
	key       []byte
	begin     time.Time
	endpoints []*endpoint
	conns     sync.WaitGroup
}

func (rc *receiver) accept(ctx context.Context, ln net.Listener, e *endpoint) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // the listener is closed, or the process has no more files: the driver sees nothing arrive
		}
		if e.behave.Load().Mode == behaveRefuse {
			refuse(conn)
			continue
		}
		rc.conns.Go(func() { rc.serve(ctx, conn, e) })
	}
}

// refuse resets the connection, which costs both sides least and keeps the port ours.
func refuse(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer sees an orderly end instead of a reset: a failure all the same
	}
	conn.Close()
}

var answerOK = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

// sampled is the share of deliveries whose signature is checked: one in so many.
const sampled = 64

func (rc *receiver) serve(ctx context.Context, conn net.Conn, e *endpoint) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := bufio.NewReaderSize(conn, 4096)
	var body []byte
	var sig signature
	for {
		visit := sig.visit
		if len(rc.key) == 0 || e.requests.Add(1)%sampled != 0 {
			visit = nil
		}
		h, err := readHead(r, visit)
		if err != nil {
			e.brokenUnless(err)
			return
		}
		if body, err = readBody(r, h.length, body); err != nil {
			e.brokenUnless(err)
			return
		}
		if visit != nil && !sig.valid(rc.key, body) {
			e.badSignature.Add(1)
		}
		if !rc.answer(ctx, conn, e, body) || h.closing {
			return
		}
	}
}

// answer records what arrived and answers as the endpoint behaves. False: the connection is done with.
func (rc *receiver) answer(ctx context.Context, conn net.Conn, e *endpoint, body []byte) bool {
	now := time.Now()
	e.began(now.Sub(rc.begin))
	defer e.inFlight.Add(-1)
	switch b := e.behave.Load(); {
	case b.Mode == behaveRefuse:
		return false
	case b.Mode == behaveHang:
		_, _ = conn.Read(make([]byte, 1)) // ends when the sender gives up
		return false
	case b.Delay > 0:
		select {
		case <-time.After(b.Delay):
		case <-ctx.Done():
			return false
		}
	}
	e.took(body, now)
	_, err := conn.Write(answerOK)
	return err == nil
}

// signature is what Standard Webhooks wants of the headers.
type signature struct{ id, timestamp, signatures string }

func (s *signature) visit(name, value []byte) {
	switch strings.ToLower(string(name)) {
	case "webhook-id":
		s.id = string(value)
	case "webhook-timestamp":
		s.timestamp = string(value)
	case "webhook-signature":
		s.signatures = string(value)
	}
}

// valid reports whether one of the signatures is right, and forgets them.
func (s *signature) valid(key, body []byte) bool {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", s.id, s.timestamp, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	ok := false
	for _, got := range strings.Fields(s.signatures) {
		ok = ok || hmac.Equal([]byte(got), []byte(want))
	}
	*s = signature{}
	return ok
}

// counter is an atomic count that remembers its peak.
type counter struct{ n, peak atomic.Int64 }

func (c *counter) Add(d int64) {
	n := c.n.Add(d)
	for {
		peak := c.peak.Load()
		if n <= peak || c.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}
