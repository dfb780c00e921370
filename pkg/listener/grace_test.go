package listener

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, for a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// dial returns the client's side of a new connection.
func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func TestServeCancelsWhatOutlivesItsGraceAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		entered, release := make(chan struct{}), make(chan struct{})
		var canceled time.Time
		o := options()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- Serve(ctx, ln, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(entered)
				<-r.Context().Done()
				canceled = time.Now()
				<-release // cleaning up takes its time
			}), o)
		}()
		client := ln.dial()
		defer client.Close()
		ask(t, client)
		<-entered
		stopped := time.Now()
		stop()
		time.Sleep(o.Grace + time.Second)
		synctest.Wait()
		if waited := canceled.Sub(stopped); waited != o.Grace {
			t.Errorf("the request was canceled %v after the stop, want %v", waited, o.Grace)
		}
		select {
		case err := <-done:
			t.Fatalf("Serve returned %v before its handler did", err)
		default:
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}
