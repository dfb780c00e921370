package config

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/pkg/control"
)

// Duration is a time.Duration written as "15s", "12h" or "14d": the same as in the management API.
type Duration = control.Duration

// Bytes is an amount of memory or disk, written as "1MiB", "512KiB", "1.5GB" or a plain number of bytes.
type Bytes int64

var byteUnits = [...]struct {
	suffix string
	factor int64
}{ // binary ones first: "B" ends all of them
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
	{"", 1},
}

var errBytes = errors.New("not a size, write a number and a unit: 512KiB, 1MiB, 2GiB")

// ParseBytes reads what people write for a size. It is never negative and a whole number of bytes.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		return scaleBytes(strings.TrimSuffix(number, " "), u.factor)
	}
	return 0, errBytes
}

func scaleBytes(number string, factor int64) (Bytes, error) {
	if number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, errBytes // no signs, exponents or hexadecimal digits
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, errBytes
		}
		return Bytes(n * factor), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	f *= float64(factor)
	if err != nil || f != math.Trunc(f) || f >= 1<<53 {
		return 0, errBytes
	}
	return Bytes(f), nil
}

// UnmarshalText reads what ParseBytes reads.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// MarshalText writes what String writes.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String writes the size in its largest binary unit that leaves a whole number: "1MiB", "1500B".
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.factor == 0 {
			return strconv.FormatInt(int64(b)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
