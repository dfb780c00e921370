package sqlite

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

// Config says where the broker's file is and how much memory it may use.
type Config struct {
	Path         string        // the file; its directory must exist
	Streams      int           // of topics made from now on, 1 to 64; a topic keeps the number it was made with
	Window       int           // messages per group and stream from the first unsettled one on, 1 or more
	WindowBytes  int64         // bytes of unsettled messages per group and stream, 1 or more
	TailBytes    int64         // most recent messages kept in memory per stream for consumers that keep up, 0 or more
	MaxMessage   int           // bytes of one message, 1 to 64 MiB
	PendingBytes int64         // bytes of messages that wait for their commit; beyond, Publish waits. 1 or more
	CommitEvery  time.Duration // how far committed positions in the file may lag behind, 1 ms to 10 s
	Drain        time.Duration // how long a stream's messages have to settle when it goes, 0 or more
	MinFree      int64         // bytes of disk kept free for settling and deleting, 0 or more; 0 keeps nothing free

	// Bodies is the process's byte budget, of which everything that waits to be settled takes its share; nil: none. It
	// must be larger than MaxMessage and than 256 KiB per stream, or some messages can never be consumed.
	Bodies *semaphore.Weighted
}

const (
	maxStreams    = 64
	maxMaxMessage = 64 << 20
)

// Defaults returns the configuration for the file at path.
func Defaults(path string) Config {
	return Config{
		Path:         path,
		Streams:      4,
		Window:       65536, // an endpoint that hangs keeps messages for max_hold: others go on behind them at up to 13,000/s a stream
		WindowBytes:  16 << 20,
		TailBytes:    1 << 20,
		MaxMessage:   8 << 20,
		PendingBytes: 16 << 20,
		CommitEvery:  200 * time.Millisecond,
		Drain:        25 * time.Second,
		MinFree:      64 << 20,
	}
}

// Parse returns the configuration that a broker.url says: "sqlite:" is broker.db in dataDir, "sqlite:PATH" another file,
// relative to dataDir. "?streams=N" sets Config.Streams.
func Parse(rawURL, dataDir string) (Config, error) {
	rest, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return Config{}, fmt.Errorf("broker.url: %q: want sqlite: or sqlite:PATH", rawURL)
	}
	rest, query, _ := strings.Cut(rest, "?")
	path, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
	if err != nil || strings.ContainsRune(path, 0) {
		return Config{}, fmt.Errorf("broker.url: %q: path is not a file name: escape %% as %%25", rawURL)
	}
	if path == "" {
		path = "broker.db"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dataDir, path)
	}
	cfg := Defaults(path)
	params, err := url.ParseQuery(query)
	if err != nil {
		return Config{}, fmt.Errorf("broker.url: %q: parameters: %w", rawURL, err)
	}
	for name, values := range params {
		if name != "streams" {
			return Config{}, fmt.Errorf("broker.url: unknown parameter %q, sqlite: takes streams", name)
		}
		if cfg.Streams, err = strconv.Atoi(values[len(values)-1]); err != nil {
			return Config{}, fmt.Errorf("broker.url: streams: %q is not a number, want 1 to %d", values[len(values)-1], maxStreams)
		}
	}
	return cfg, errors.Join(cfg.Validate()...)
}

// Validate returns every problem, each as `name: value: what is wrong, what to do`.
func (c Config) Validate() []error {
	var problems []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			problems = append(problems, fmt.Errorf("broker: %s: %v: want %s", name, value, want))
		}
	}
	check(c.Path != "", "path", `""`, "the name of a file")
	check(c.Streams >= 1 && c.Streams <= maxStreams, "streams", c.Streams, fmt.Sprintf("1 to %d", maxStreams))
	check(c.Window >= 1, "window", c.Window, "1 message or more")
	check(c.WindowBytes >= 1, "window bytes", c.WindowBytes, "1 byte or more")
	check(c.TailBytes >= 0, "tail bytes", c.TailBytes, "0 bytes or more")
	check(c.MaxMessage >= 1 && c.MaxMessage <= maxMaxMessage, "max message", c.MaxMessage, fmt.Sprintf("1 to %d bytes", maxMaxMessage))
	check(c.PendingBytes >= 1, "pending bytes", c.PendingBytes, "1 byte or more")
	check(c.CommitEvery >= time.Millisecond && c.CommitEvery <= 10*time.Second, "commit every", c.CommitEvery, "1ms to 10s")
	check(c.Drain >= 0, "drain", c.Drain, "0 or more")
	check(c.MinFree >= 0, "min free", c.MinFree, "0 bytes or more")
	return problems
}

// logLimit is how large the write-ahead log may become before the writer itself copies what is left of it. The log has to
// fit into what is kept free.
func (c Config) logLimit() int64 {
	const most, least = 16 << 20, 256 << 10
	if c.MinFree == 0 {
		return most
	}
	return min(most, max(least, c.MinFree/4))
}
