package event

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// testTime is when the events of these tests were accepted.
var testTime = time.UnixMilli(1_790_000_000_123).UTC()

// full returns an event with every field set.
func full() *Event {
	return &Event{
		ID:          testID(1),
		Tenant:      "acme",
		Source:      "github",
		Type:        "push",
		Key:         "repo/1",
		GivenID:     "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		Origin:      "https://example.com/orders",
		Time:        testTime,
		Method:      "POST",
		Path:        "/a/b%20c",
		Query:       "x=1&y=%22",
		ContentType: "application/json; charset=utf-8",
		Headers:     map[string]string{"x-github-event": "push", "x-quoted": "\"\\\t\u2028é"},
		Body:        []byte(`{"ref": "refs/heads/main"}`),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		TraceState:  "vendor=1",
	}
}

// least returns an event with nothing but what every event has.
func least() *Event {
	return &Event{ID: testID(2), Tenant: DefaultTenant, Source: APISource, Type: "a", Time: testTime}
}

func testID(n byte) ID {
	var id ID
	putMillis(&id, testTime)
	id[15] = n
	return id
}

func wantSameEvent(t *testing.T, got, want *Event) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func wantErrorWith(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want one with %q", err, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(e *Event)
		want   string // empty: valid
	}{
		{"everything set is valid", func(*Event) {}, ""},
		{"no id", func(e *Event) { e.ID = ID{} }, "id is missing"},
		{"no tenant", func(e *Event) { e.Tenant = "" }, "tenant is missing"},
		{"no source", func(e *Event) { e.Source = "" }, "source is missing"},
		{"no type", func(e *Event) { e.Type = "" }, "type is missing"},
		{"half a millisecond", func(e *Event) { e.Time = e.Time.Add(time.Microsecond) }, "whole milliseconds"},
		{"the year 10000", func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "years 1 to 9999"},
		{"a year before Christ", func(e *Event) { e.Time = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) }, "years 1 to 9999"},
		{"the year 9999 elsewhere is 10000 here", func(e *Event) {
			e.Time = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))
		}, "years 1 to 9999"},
		{"a line break in a type", func(e *Event) { e.Type = "a\nb" }, "control character"},
		{"bytes that are not UTF-8 in a key", func(e *Event) { e.Key = "\xff" }, "not valid UTF-8"},
		{"letters of other alphabets", func(e *Event) { e.Key = "ключ" }, ""},
		{"the longest type", func(e *Event) { e.Type = strings.Repeat("a", MaxName) }, ""},
		{"a longer type", func(e *Event) { e.Type = strings.Repeat("a", MaxName+1) }, "type has 256 bytes, at most 255"},
		{"a long given id", func(e *Event) { e.GivenID = strings.Repeat("a", MaxAttribute+1) }, "id given by the sender has 1025 bytes"},
		{"the longest query", func(e *Event) {
			e.Method, e.Path, e.Headers, e.Query = "", "", nil, strings.Repeat("\xff", MaxRequest)
		}, ""},
		{"a long query", func(e *Event) { e.Query = strings.Repeat("q", MaxRequest) }, "at most 32768 go along"},
		{"a long header", func(e *Event) { e.Headers["x"] = strings.Repeat("q", MaxRequest) }, "at most 32768 go along"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := full()
			tt.change(e)
			err := e.Validate()
			if tt.want != "" {
				wantErrorWith(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatalf("Validate = %v, want nil", err)
			}
			got, err := Decode(Encode(e), e.Body)
			if err != nil {
				t.Fatalf("what is valid must decode: %v", err)
			}
			wantSameEvent(t, got, e)
		})
	}
}

func TestClaimDigest(t *testing.T) {
	t.Parallel()
	base := ClaimDigest(full())
	if base == ([16]byte{}) {
		t.Fatal("an event with a given id has no digest")
	}
	same := map[string]func(e *Event){
		"nothing":      func(*Event) {},
		"the id":       func(e *Event) { e.ID = testID(9) },
		"the time":     func(e *Event) { e.Time = e.Time.Add(time.Hour) },
		"the key":      func(e *Event) { e.Key = "other" },
		"the query":    func(e *Event) { e.Query = "other" },
		"the trace":    func(e *Event) { e.TraceParent = "" },
		"body's array": func(e *Event) { e.Body = append([]byte(nil), e.Body...) },
	}
	for name, change := range same {
		e := full()
		if change(e); ClaimDigest(e) != base {
			t.Errorf("the digest depends on %s", name)
		}
	}
	other := map[string]func(e *Event){
		"tenant":   func(e *Event) { e.Tenant = "other" },
		"source":   func(e *Event) { e.Source = "other" },
		"origin":   func(e *Event) { e.Origin = "" },
		"type":     func(e *Event) { e.Type = "other" },
		"given id": func(e *Event) { e.GivenID = "other" },
		"body":     func(e *Event) { e.Body = []byte("other") },
		"boundary": func(e *Event) { e.Type, e.GivenID = e.Type+e.GivenID[:1], e.GivenID[1:] },
	}
	for name, change := range other {
		e := full()
		if change(e); ClaimDigest(e) == base {
			t.Errorf("the digest does not depend on the %s", name)
		}
	}
}

func TestEventsWithoutAGivenIDClaimNothing(t *testing.T) {
	t.Parallel()
	e := full()
	e.GivenID = ""
	if got := ClaimDigest(e); got != ([16]byte{}) {
		t.Errorf("ClaimDigest = %x, want zero", got)
	}
}

// TestClaimDigestIsFixed keeps digests that lie in a store valid across versions.
func TestClaimDigestIsFixed(t *testing.T) {
	t.Parallel()
	const want = "3gthm1jvn0tr3k3pmyea4jp18m" // computed by other means
	if got := EncodeBase32(digest(full())); got != want {
		t.Errorf("ClaimDigest = %s, want %s", got, want)
	}
}

func digest(e *Event) []byte {
	d := ClaimDigest(e)
	return d[:]
}
