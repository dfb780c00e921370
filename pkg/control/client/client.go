// Package client asks the management API (package control), with the structs that the API is made of. The command line
// is built on it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
)

// Client asks one management API. It is safe for concurrent use.
type Client struct {
	base string // without a final slash
	key  control.Secret
	http *http.Client
}

const (
	timeout     = 30 * time.Second // of one request, its answer read
	dialTimeout = 5 * time.Second
	maxAnswer   = 32 << 20 // bytes of JSON
	maxError    = 64 << 10
)

// New returns a client of the API at baseURL, such as http://127.0.0.1:8081. The key may be empty where the API asks
// for none. Close the client after use.
func New(baseURL string, key control.Secret) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("address of the management API: want a URL such as http://127.0.0.1:8081")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("address of the management API: want scheme, host and port alone; the key goes beside it")
	}
	return &Client{
		base: strings.TrimSuffix(u.String(), "/"),
		key:  key,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
				TLSHandshakeTimeout: dialTimeout,
				IdleConnTimeout:     timeout,
			},
			Timeout: timeout,
			// The API never redirects: whoever does is something else, and is not to get the key.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ask makes a request with in as its JSON body, unless in is nil, and reads the answer into out, unless out is nil.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("read answer of the management API: %w", err)
	case len(body) > maxAnswer:
		return fmt.Errorf("answer of the management API: more than %d bytes, ask for smaller pages", maxAnswer)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("answer of the management API at %s: %w (is something else listening there?)", c.base, err)
	}
	return nil
}

// send makes a request and returns its answer if that is a success.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	req, err := c.newRequest(ctx, method, path, query, in)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text holds the whole URL
			err = ue.Err
		}
		return nil, fmt.Errorf("management API at %s: %w (is sluice running there?)", c.base, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

func (c *Client) newRequest(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.key))
	}
	return req, nil
}
