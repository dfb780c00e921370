package match

import (
	"strings"
	"testing"
)

func TestValidatePattern(t *testing.T) {
	tests := []struct {
		name    string
		pattern string
		want    string // in the error; empty: valid
	}{
		{"a literal", "invoice.paid", ""},
		{"a literal of one segment", "push", ""},
		{"what providers write", "orders/create", ""},
		{"spaces inside", "Push Hook", ""},
		{"letters beyond ASCII", "größe.geändert", ""},
		{"one segment", "order.*", ""},
		{"one or more segments", "order.**", ""},
		{"below several segments", "order.item.**", ""},
		{"everything", "*", ""},
		{"everything, written twice", "**", ""},
		{"Sluice's own", "sluice.**", ""},
		{"255 bytes", strings.Repeat("a", 255), ""},
		{"256 bytes", strings.Repeat("a", 256), "256 bytes, want at most 255"},
		{"empty", "", "write * for every type"},
		{"a star inside a segment", "order.pa*", "a star stands alone"},
		{"a star in the middle", "order.*.paid", "a star stands alone"},
		{"a star at the start", "*.paid", "a star stands alone"},
		{"two wildcards", "order.*.**", "a star stands alone"},
		{"three stars", "***", "a star stands alone"},
		{"three stars at the end", "order.***", "a star stands alone"},
		{"an empty segment", "order..paid", "empty segment"},
		{"a dot at the start", ".paid", "empty segment"},
		{"a dot at the end", "order.", "empty segment"},
		{"nothing before the star", ".*", "empty segment"},
		{"nothing before two stars", ".**", "empty segment"},
		{"an empty segment before the star", "order..*", "empty segment"},
		{"white space at its ends", " order", "white space"},
		{"a control character", "order\n.paid", "control characters"},
		{"not UTF-8", "order\xff", "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := ValidatePattern(tt.pattern)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("ValidatePattern(%q) = %v, want nil", tt.pattern, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("ValidatePattern(%q) = %v, want an error with %q", tt.pattern, err, tt.want)
			}
		})
	}
}

// plainMatch says what a valid pattern means, segment by segment.
func plainMatch(pattern, typ string) bool {
	if pattern == "*" || pattern == "**" {
		return !strings.HasPrefix(typ, "sluice.")
	}
	ps, ts := strings.Split(pattern, "."), strings.Split(typ, ".")
	n := len(ps) - 1
	if ps[n] != "*" && ps[n] != "**" {
		return typ == pattern
	}
	if len(ts) <= n || strings.Join(ts[:n], ".") != strings.Join(ps[:n], ".") {
		return false
	}
	rest := strings.Join(ts[n:], ".")
	return rest != "" && (ps[n] == "**" || !strings.Contains(rest, "."))
}

func TestPatternsMatch(t *testing.T) {
	types := []string{"", "order", "order.", "order.paid", "order.paid.late", "order..", "orders.paid", "Order.paid", ".paid", ".", "sluice", "sluice.", "sluice.endpoint.failing", "sluice.delivery", "sluicegate.open"}
	tests := []struct {
		pattern string
		want    []string
	}{
		{"order", []string{"order"}},
		{"order.paid", []string{"order.paid"}},
		{"order.*", []string{"order.paid"}},
		{"order.**", []string{"order.paid", "order.paid.late", "order.."}},
		{"order.paid.*", []string{"order.paid.late"}},
		{"order.paid.**", []string{"order.paid.late"}},
		{"*", []string{"", "order", "order.", "order.paid", "order.paid.late", "order..", "orders.paid", "Order.paid", ".paid", ".", "sluice", "sluicegate.open"}},
		{"**", []string{"", "order", "order.", "order.paid", "order.paid.late", "order..", "orders.paid", "Order.paid", ".paid", ".", "sluice", "sluicegate.open"}},
		{"sluice.*", []string{"sluice.delivery"}},
		{"sluice.**", []string{"sluice.endpoint.failing", "sluice.delivery"}},
		{"sluice.endpoint.failing", []string{"sluice.endpoint.failing"}},
	}
	for _, tt := range tests {
		t.Run(tt.pattern, func(t *testing.T) {
			var got []string
			for _, typ := range types {
				if matches(tt.pattern, typ) {
					got = append(got, typ)
				}
				if matches(tt.pattern, typ) != plainMatch(tt.pattern, typ) {
					t.Errorf("%q: index and plain matcher differ", typ)
				}
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("matches %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"invoice.paid", "order.*", "order.**", "*", "**", "sluice.**", "a..*", "a.b.c.**", ".*"} {
		for _, typ := range []string{"invoice.paid", "order.a", "order.a.b", "sluice.x", "a..b", "a.b.c.", ""} {
			f.Add(p, typ)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, typ string) {
		want := ValidatePattern(pattern) == nil && plainMatch(pattern, typ)
		if got := matches(pattern, typ); got != want {
			t.Fatalf("pattern %q, type %q: matches %v, want %v (pattern: %v)", pattern, typ, got, want, ValidatePattern(pattern))
		}
	})
}
