package provider

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/store"
)

// Sample is an event as the provider documents it, in short.
type Sample struct {
	Event       string // its type
	ContentType string
	headers     map[string]string
	body        string
}

// Samples returns the preset's sample events, in the order of its file. Read only.
func (p *Preset) Samples() []Sample { return p.samples }

// Sample returns the sample of that type, and whether there is one.
func (p *Preset) Sample(event string) (Sample, bool) {
	i := slices.IndexFunc(p.samples, func(s Sample) bool { return s.Event == event })
	if i < 0 {
		return Sample{}, false
	}
	return p.samples[i], true
}

// Request returns an unsigned request for the sample, with the time now and ids that no other has. Sign it next.
func (s Sample) Request(now time.Time) *Request {
	fill := strings.NewReplacer(
		"$uuid", newUUID(),
		"$id", randomHex(12),
		`"$unix"`, strconv.FormatInt(now.Unix(), 10), // a number, written as a string so that the file stays JSON
		"$time", now.UTC().Format(time.RFC3339),
	)
	req := &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {s.ContentType}}, Body: []byte(fill.Replace(s.body))}
	for name, value := range s.headers {
		req.Header.Set(name, fill.Replace(value))
	}
	return req
}

func loadSamples(preset string, specs []sampleSpec) ([]Sample, error) {
	var out []Sample
	for _, spec := range specs {
		body, err := files.ReadFile(path.Join("presets", preset, cmp.Or(spec.File, spec.Event+".json")))
		if err != nil {
			return nil, fmt.Errorf("sample %s: %w", spec.Event, err)
		}
		out = append(out, Sample{spec.Event, cmp.Or(spec.ContentType, "application/json"), spec.Headers, string(body)})
	}
	return out, nil
}

// NewSecret makes up a secret of the form that the provider hands out, with 128 random bits at least.
func (p *Preset) NewSecret() store.Secret {
	out, rest := "", p.spec.Secret.New
	for rest != "" {
		before, after, _ := strings.Cut(rest, "{")
		out += before
		variable, tail, _ := strings.Cut(after, "}")
		kind, size, _ := strings.Cut(variable, ":")
		if n, err := strconv.Atoi(size); err == nil {
			raw := make([]byte, n)
			rand.Read(raw)
			out += string(encoding(kind).appendText(nil, raw))
		}
		rest = tail
	}
	return store.Secret(out)
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	raw := make([]byte, 16)
	rand.Read(raw)
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	s := hex.EncodeToString(raw)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
