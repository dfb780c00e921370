package match

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern is the longest pattern in bytes. It also bounds how many prefixes of a type a match looks up, whatever the
// sender made of it.
const maxPattern = 255

// reserved starts the types of Sluice's own events, which nobody gets without asking for them.
const reserved = "sluice."

// ValidatePattern returns nil for a pattern of event types that Compile understands, and otherwise says what is wrong
// with it:
//
//	invoice.paid  that type alone
//	order.*       "order." and one more segment
//	order.**      "order." and one or more segments
//	* or **       every type but those that begin with "sluice."
//
// Segments are what stands between dots. A pattern has at most 255 bytes.
func ValidatePattern(p string) error {
	_, _, err := parse(p)
	return err
}

// kind says how a pattern compares.
type kind uint8

const (
	literal kind = iota // the type is the text
	segment             // the type is the text, a dot, and one segment
	deep                // the type is the text, a dot, and one or more segments
	every               // the text is empty; every type that is not reserved
)

func parse(p string) (k kind, text string, err error) {
	if err := checkText(p); err != nil {
		return literal, "", err
	}
	if p == "*" || p == "**" {
		return every, "", nil
	}
	k, text = literal, p
	if before, ok := strings.CutSuffix(p, ".**"); ok {
		k, text = deep, before
	} else if before, ok := strings.CutSuffix(p, ".*"); ok {
		k, text = segment, before
	}
	if strings.Contains(text, "*") {
		return literal, "", fmt.Errorf("type pattern %q: a star stands alone (*) or as the last segment, like order.* (one segment) or order.** (one or more)", p)
	}
	if text == "" || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".") || strings.Contains(text, "..") {
		return literal, "", fmt.Errorf("type pattern %q: empty segment, write one dot between segments and none at the ends", p)
	}
	return k, text, nil
}

// checkText refuses what no sender could have meant. Spaces inside stay: providers name types like "Push Hook".
func checkText(p string) error {
	switch {
	case p == "":
		return errors.New("type pattern is empty, write * for every type")
	case len(p) > maxPattern:
		return fmt.Errorf("type pattern %.32q…: %d bytes, want at most %d", p, len(p), maxPattern)
	case !utf8.ValidString(p):
		return fmt.Errorf("type pattern %q: not UTF-8", p)
	case strings.IndexFunc(p, unicode.IsControl) >= 0:
		return fmt.Errorf("type pattern %q: has control characters", p)
	case strings.TrimSpace(p) != p:
		return fmt.Errorf("type pattern %q: white space at its ends", p)
	}
	return nil
}
