package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// relayDatabase is the environment variable that names the relay's database.
const relayDatabase = "BENCH_RELAY_DATABASE"

// relayMain is the limit's process: HTTP in, signature checked, grouped fdatasync, answered, signed, HTTP out. It knows one
// endpoint, does not retry, and keeps a history only of what was delivered, if relayDatabase says where: what it takes, no
// gateway that keeps its word can do without.
func relayMain(args []string) error {
	fs := flag.NewFlagSet("role-relay", flag.ContinueOnError)
	to := fs.String("to", "", "address to post to")
	file := fs.String("file", "", "file to write events to before they are answered")
	secret := fs.String("secret", "", "secret of what comes in")
	signing := fs.String("signing", "", "whsec_… to sign what goes out with")
	connsOut := fs.Int("senders", 64, "connections out")
	if err := fs.Parse(args); err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(*signing, "whsec_"))
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	j, err := openJournal(*file)
	if err != nil {
		return err
	}
	r := &relay{secret: []byte(*secret), key: key, to: *to, journal: j, out: make(chan []byte, 1<<14)}
	if url := os.Getenv(relayDatabase); url != "" {
		if r.history, err = openHistory(context.Background(), url); err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts, senders sync.WaitGroup
	parts.Go(j.run)
	if r.history != nil {
		parts.Go(func() { r.history.run(context.Background()) }) // to the end: what was delivered is written
	}
	for range *connsOut {
		senders.Go(r.send)
	}
	var conns sync.WaitGroup
	conns.Go(func() { r.accept(ctx, ln, &conns) })
	err = serveOps(os.Stdin, os.Stdout, ops{"addr": op(func(struct{}) (any, error) { return ln.Addr().String(), nil })})
	cancel()
	conns.Wait()
	j.stop()
	close(r.out)
	senders.Wait()
	if r.history != nil {
		r.history.stop()
	}
	parts.Wait()
	if r.history != nil {
		err = errors.Join(err, r.history.err)
	}
	return err
}

type relay struct {
	secret, key []byte
	to          string
	journal     *journal
	history     *history    // nil: none is kept
	out         chan []byte // durable bodies on their way out; full: what comes in waits
}

func (r *relay) accept(ctx context.Context, ln net.Listener, conns *sync.WaitGroup) {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conns.Go(func() { r.serve(ctx, conn) })
	}
}

var (
	answerUnauthorized = []byte("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
	answerUnavailable  = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
)

func (r *relay) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReaderSize(conn, 4096)
	mac := hmac.New(sha256.New, r.secret)
	durable := make(chan error, 1)
	var signed []byte
	visit := func(name, value []byte) {
		if strings.EqualFold(string(name), "X-Hub-Signature-256") {
			signed = append(signed[:0], value...)
		}
	}
	for {
		h, err := readHead(in, visit)
		if err != nil {
			return
		}
		body, err := readBody(in, h.length, nil) // its own: it goes out after this request is answered
		if err != nil {
			return
		}
		mac.Reset()
		mac.Write(body)
		answer := answerOK
		if !hmac.Equal(signed, hex.AppendEncode([]byte("sha256="), mac.Sum(nil))) {
			answer = answerUnauthorized
		} else if r.history != nil && r.history.broken() {
			answer = answerUnavailable // a limit that writes nothing is none
		} else {
			r.journal.write(body, durable)
			if err := <-durable; err != nil {
				answer = answerUnavailable
			} else {
				r.out <- body
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// send posts bodies over one connection. What fails is lost: a limit need not be reliable, and the driver sees it missing.
func (r *relay) send() {
	c := &client{addr: r.to}
	defer c.close()
	mac := hmac.New(sha256.New, r.key)
	var req, sum []byte
	for body := range r.out {
		id := "evt_" + string(body[seqAt:seqAt+seqDigits])
		at := strconv.FormatInt(time.Now().Unix(), 10)
		mac.Reset()
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		sum = mac.Sum(sum[:0])
		req = append(req[:0], "POST / HTTP/1.1\r\nHost: "+r.to+"\r\nContent-Type: application/json\r\nWebhook-Id: "+id+"\r\nWebhook-Timestamp: "+at+"\r\nWebhook-Signature: v1,"...)
		req = base64.StdEncoding.AppendEncode(req, sum)
		req = append(req, "\r\nContent-Length: "...)
		req = strconv.AppendInt(req, int64(len(body)), 10)
		req = append(req, "\r\n\r\n"...)
		req = append(req, body...)
		if status, err := c.post(req); err != nil || status/100 != 2 {
			fmt.Fprintf(os.Stderr, "relay: status %d, %v\n", status, err)
		} else if r.history != nil {
			r.history.add(recorded{body, time.Now()})
		}
	}
}
