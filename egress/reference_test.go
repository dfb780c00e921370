package egress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

// reference is a transport made of net/http, which the lean client is held against.
type reference struct {
	lean *client
	http *http.Transport
}

func newReference(lean *client, idle int) *reference {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &reference{lean: lean, http: &http.Transport{
		DialContext:            lean.dial,
		TLSClientConfig:        lean.tls.Clone(),
		TLSHandshakeTimeout:    handshakeTimeout,
		DisableCompression:     true,
		DisableKeepAlives:      idle == 0,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHead,
		Protocols:              protocols,
	}}
}

func (r *reference) close() {
	r.lean.close()
	r.http.CloseIdleConnections()
}

func (r *reference) roundTrip(ctx context.Context, deadline time.Time, t *target, req *request, ans *answer) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	out, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(req.head)))
	if err != nil {
		return fmt.Errorf("net/http does not understand the request: %w", err)
	}
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", t.key.address, ""
	if t.key.host != "" {
		out.URL.Scheme = "https"
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(req.body)), int64(len(req.body))
	got, interim := stageConnect, 0
	resp, err := r.http.RoundTrip(out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart: func() { got = stageTLS },
		GotConn:           func(httptrace.GotConnInfo) { got = stageAnswer },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			if interim++; interim > max1xx {
				return errors.New("too many interim answers")
			}
			return nil
		},
	})))
	if err != nil {
		return &failure{got, err}
	}
	defer resp.Body.Close()
	ans.status = resp.StatusCode
	if v := resp.Header.Get("Retry-After"); v != "" {
		ans.retryAfter, ans.hasRetry = parseRetryAfter(v, time.Now())
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil // its body is the connection
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	ans.keep(body)
	if err != nil {
		return &failure{stageAnswer, err}
	}
	return nil
}
