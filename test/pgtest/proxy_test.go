package pgtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/test/pgtest"
)

func TestProxyLosesTheAnswerAlone(t *testing.T) {
	server := pgtest.Shared(t)
	direct := server.Database(t)
	proxy := pgtest.NewProxy(t, server.Addr())
	through := pgtest.At(proxy.Addr(), direct)
	lost := proxy.LoseAnswer("TABLE made")
	if err := try(through, patience, "CREATE TABLE made()"); err == nil {
		t.Fatal("no error, though the answer is lost")
	}
	<-lost
	do(t, direct, "SELECT FROM made")
	lost = proxy.LoseRequest("TABLE never")
	if err := try(through, patience, "CREATE TABLE never()"); err == nil {
		t.Fatal("no error, though the request is lost")
	}
	<-lost
	do(t, direct, "CREATE TABLE never()")
	do(t, through, "SELECT FROM made, never")
}

func TestSilentProxyPassesLater(t *testing.T) {
	server := pgtest.Shared(t)
	proxy := pgtest.NewProxy(t, server.Addr())
	url := pgtest.At(proxy.Addr(), server.Database(t))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Silence()
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), "SELECT 1")
		answer <- errors.Join(err, conn.Close(context.WithoutCancel(t.Context())))
	}()
	if err := try(url, 100*time.Millisecond, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("through a silent proxy: %v, want the deadline", err)
	}
	select {
	case err := <-answer:
		t.Fatalf("a silent proxy passed an answer: %v", err)
	default:
	}
	proxy.Heal()
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	if err := try(url, patience, "SELECT 1"); err == nil {
		t.Fatal("a cut proxy passes")
	}
	proxy.Heal()
	do(t, url, "SELECT 1")
}
