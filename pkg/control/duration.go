package control

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Duration is a time.Duration that people write as "15s", "1h30m" or "14d". The zero value is "not set".
type Duration time.Duration

const day = 24 * time.Hour

// durationPattern is what ParseDuration takes, for the API's schema.
const durationPattern = `^([0-9]{1,5}d)?(([0-9]+(\.[0-9]+)?)(ns|us|µs|ms|s|m|h))*$`

// ParseDuration reads what time.ParseDuration does, plus days ("d", 24 hours) in front: "14d", "1d12h". It is never
// negative, and never without a unit.
func ParseDuration(s string) (time.Duration, error) {
	rest, total := s, time.Duration(0)
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		total, rest = time.Duration(n)*day, after
		if rest == "" {
			return total, nil
		}
	}
	if rest == "" || rest[0] < '0' || rest[0] > '9' {
		return 0, errDuration
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest == "0" || d > 1<<63-1-total {
		return 0, errDuration
	}
	return total + d, nil
}

var errDuration = errors.New("not a duration, write a number and a unit: 500ms, 15s, 5m, 12h, 14d")

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes what String writes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the duration in its largest even units: "14d", "12h", "1m30s".
func (d Duration) String() string {
	v := time.Duration(d)
	if v >= day && v%day == 0 {
		return strconv.FormatInt(int64(v/day), 10) + "d"
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Schema tells the API's schema that durations are text.
func (Duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            durationPattern,
		PatternDescription: "a duration such as 500ms, 15s, 5m, 12h or 14d",
		MinLength:          new(2),
		MaxLength:          new(32),
		Examples:           []any{"15s"},
	}
}
