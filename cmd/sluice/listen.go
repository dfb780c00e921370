package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/webhook"
)

// listenFlags are what listen does.
type listenFlags struct {
	name           string
	port           count
	types, sources []string
	status         count
	delay          span
	failFirst      count
}

func newListen(g *global) *cobra.Command {
	a := &api{global: g}
	f := &listenFlags{port: count{0, 0, 65535}, status: count{http.StatusOK, 200, 599}, failFirst: count{0, 0, 1_000_000}}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive events here: register a receiver, verify and print what arrives, leave on exit",
		Long: `Listen on this machine, register that as an endpoint with a secret of its own, and print every delivery, its signature
verified. On exit (Ctrl-C, SIGTERM) the endpoint is deleted. While sluice does not answer it waits, and registers again
if sluice was started anew without it.

Sluice must be on this machine, and may deliver to http and loopback: 'sluice dev' may, 'sluice serve' needs
network.allow_http and network.allow.`,
		Example: `  sluice listen
  sluice listen --type 'invoice.**' --source stripe
  sluice listen --fail-first 2        # see what a retry looks like
  sluice listen --status 503 --delay 2s`,
		GroupID: groupLook,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, base, err := a.open(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			return explain(base, f.listen(cmd, c, base))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "`NAME` of the endpoint (default one nobody else has)")
	flags.Var(&f.port, "port", "port to listen on; 0 is any that is free")
	flags.StringArrayVar(&f.types, "type", nil, "`PATTERN` of event types: push, 'order.*', 'order.**'; may be repeated (default any)")
	flags.StringArrayVar(&f.sources, "source", nil, "`SOURCE` that events come through; may be repeated (default any)")
	flags.Var(&f.status, "status", "answer with this status, 200 to 599")
	flags.Var(&f.delay, "delay", "wait so long before each answer, such as 500ms; sluice gives up after 15s")
	flags.Var(&f.failFirst, "fail-first", "answer the first `N` deliveries with 500")
	completeFlag(cmd, "source", a.complete(sourceNames))
	a.bind(cmd)
	return cmd
}

// listen listens, registers, and stays until the command's context ends.
func (f *listenFlags) listen(cmd *cobra.Command, c *client.Client, base string) (err error) {
	log, err := telemetry.NewLogger(cmd.ErrOrStderr(), "auto", "error")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port.value)))
	if err != nil {
		return portTaken("--port", err, "choose another with --port, or leave it out")
	}
	if u, err := url.Parse(base); err == nil && !listener.LoopbackHost(u.Host) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: sluice at %s is to deliver to %s, which is itself there unless it is this machine\n", shownURL(base), ln.Addr())
	}
	out := cmd.OutOrStdout()
	r := &receiver{
		out: out, style: styleOf(out), secret: webhook.GenerateSecret(), status: f.status.value, delay: time.Duration(f.delay), failFirst: f.failFirst.value,
	}
	ctx, stop := context.WithCancel(cmd.Context())
	beside, stopReceiver := context.WithCancel(context.WithoutCancel(ctx)) // deliveries may arrive until the endpoint is deleted
	defer stopReceiver()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- r.run(beside, ln, log)
	}()
	err = f.registration(c, r, ln, &lines{out: out}).run(ctx)
	stop()
	stopReceiver()
	return errors.Join(err, <-ended)
}

func (f *listenFlags) registration(c *client.Client, r *receiver, ln net.Listener, say *lines) *registration {
	name := f.name
	if name == "" {
		name = "listen-" + strings.ToLower(rand.Text()[:8])
	}
	return &registration{
		api: c, say: say, every: 2 * time.Second,
		spec: control.EndpointSpec{
			Name: name, URL: "http://" + ln.Addr().String() + "/", Secrets: []control.Secret{control.Secret(r.secret)},
			Subscriptions: []control.SubscriptionSpec{{Types: f.types, Sources: f.sources}},
		},
	}
}
