package event

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

var (
	asJSON       = header("Content-Type", "application/json")
	asStructured = header("Content-Type", "application/cloudevents+json; charset=UTF-8")
	asBatch      = header("Content-Type", "application/cloudevents-batch+json")
)

func asBinary(pairs ...string) http.Header {
	return header(append([]string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, pairs...)...)
}

func TestParsePublished(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		header http.Header
		body   string
		want   []Event
		array  bool
	}{
		{
			"one event in our own form", asJSON, `{"type":"invoice.paid","data":{"a" : 1.0},"id":"in_1","key":"c"}`,
			[]Event{{Type: "invoice.paid", Key: "c", GivenID: "in_1", ContentType: "application/json", Body: []byte(`{"a" : 1.0}`)}},
			false,
		},
		{
			"without content type it is our own form", header(), ` {"data":null,"type":"a"} `,
			[]Event{{Type: "a", ContentType: "application/json", Body: []byte("null")}},
			false,
		},
		{
			"data keeps duplicate members, order and escapes", asJSON, `{"type":"a","data":{"b":1,"b":"\ud800\u0041"}}`,
			[]Event{{Type: "a", ContentType: "application/json", Body: []byte(`{"b":1,"b":"\ud800\u0041"}`)}},
			false,
		},
		{
			"escapes in type are read", asJSON, `{"type":"\u0061\"","data":1}`,
			[]Event{{Type: `a"`, ContentType: "application/json", Body: []byte("1")}},
			false,
		},
		{
			"an array of our own form", asJSON, ` [{"type":"a","data":1} , {"type":"b","data":2}]`,
			[]Event{{Type: "a", ContentType: "application/json", Body: []byte("1")}, {Type: "b", ContentType: "application/json", Body: []byte("2")}},
			true,
		},
		{
			"structured CloudEvent", asStructured, `{"specversion":"1.0","id":"1","source":"urn:s","type":"t","tenant":"acme","key":"k","subject":"sub","time":"2026-01-02T03:04:05+01:00","traceparent":"tp","data":[ ]}`,
			[]Event{{
				Tenant: "acme", Type: "t", Key: "k", GivenID: "1", Origin: "urn:s", ContentType: "application/json", TraceParent: "tp", Body: []byte("[ ]"),
				Headers: map[string]string{"ce-subject": "sub", "ce-time": "2026-01-02T03:04:05+01:00"},
			}},
			false,
		},
		{
			"structured CloudEvent with bytes", asStructured, `{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"image/png","data_base64":"AP8="}`,
			[]Event{{Type: "t", GivenID: "1", Origin: "s", ContentType: "image/png", Body: []byte{0, 0xff}}},
			false,
		},
		{
			"structured CloudEvent with text", asStructured, `{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/xml","data":"<a\/>"}`,
			[]Event{{Type: "t", GivenID: "1", Origin: "s", ContentType: "text/xml", Body: []byte("<a/>")}},
			false,
		},
		{
			"a JSON string stays JSON", asStructured, `{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"application/vnd.x+json","data":"x"}`,
			[]Event{{Type: "t", GivenID: "1", Origin: "s", ContentType: "application/vnd.x+json", Body: []byte(`"x"`)}},
			false,
		},
		{
			"structured CloudEvent without data", asStructured, `{"specversion":"1.0","id":"1","source":"s","type":"t","ext":null,"flag":true,"count":-3}`,
			[]Event{{Type: "t", GivenID: "1", Origin: "s", Headers: map[string]string{"ce-flag": "true", "ce-count": "-3"}}},
			false,
		},
		{
			"partitionkey is the key", asStructured, `{"specversion":"1.0","id":"1","source":"s","type":"t","partitionkey":"p"}`,
			[]Event{{Type: "t", Key: "p", GivenID: "1", Origin: "s"}},
			false,
		},
		{
			"batch of CloudEvents", asBatch, `[{"specversion":"1.0","id":"1","source":"s","type":"t"}]`,
			[]Event{{Type: "t", GivenID: "1", Origin: "s"}},
			true,
		},
		{
			"binary CloudEvent", asBinary("content-type", "text/plain; charset=latin1", "ce-tenant", "acme", "ce-subject", "%E2%82%AC \"x\"", "x-other", "1"), "\xff\x00",
			[]Event{{
				Tenant: "acme", Type: "t", GivenID: "1", Origin: "/s", ContentType: "text/plain; charset=latin1", Body: []byte("\xff\x00"),
				Headers: map[string]string{"ce-subject": "€ \"x\""},
			}},
			false,
		},
		{
			"binary CloudEvent whose body is JSON", asBinary("content-type", "application/json", "ce-quoted", `"a\"b"`), "{",
			[]Event{{Type: "t", GivenID: "1", Origin: "/s", ContentType: "application/json", Body: []byte("{"), Headers: map[string]string{"ce-quoted": `a"b`}}},
			false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePublished(tt.header, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Array != tt.array || !reflect.DeepEqual(got.Events, tt.want) {
				t.Errorf("got  %+v\nwant %+v, array %v", got, tt.want, tt.array)
			}
		})
	}
}

func TestParsePublishedRefuses(t *testing.T) {
	t.Parallel()
	const ce = `"specversion":"1.0","id":"1","source":"s","type":"t"`
	tests := []struct {
		name   string
		header http.Header
		body   string
		want   string
	}{
		{"nothing", asJSON, "", "JSON ends too early"},
		{"no object", asJSON, "3", "not JSON at byte 1"},
		{"no type", asJSON, `{"data":1}`, "type is missing"},
		{"an empty type", asJSON, `{"type":"","data":1}`, "type is missing"},
		{"no data", asJSON, `{"type":"a"}`, "data is missing"},
		{"data that is not JSON", asJSON, `{"type":"a","data":{]}`, "not JSON at byte 21"},
		{"a member it does not know", asJSON, `{"type":"a","data":1,"payload":2}`, `unknown member "payload": want type, data, id and key`},
		{"a member twice", asJSON, `{"type":"a","data":1,"data":2}`, `member "data" is there twice`},
		{"a member twice, once escaped", asJSON, `{"type":"a","data":1,"d\u0061ta":2}`, `member "data" is there twice`},
		{"a number as id", asJSON, `{"type":"a","data":1,"id":7}`, "id: want a string"},
		{"a CloudEvent sent as plain JSON", asJSON, `{` + ce + `}`, "send it with content-type application/cloudevents+json"},
		{"half a surrogate in a key", asJSON, `{"type":"a","data":1,"key":"\ud800"}`, "key: want a string: half of a surrogate pair"},
		{"a control character in a type", asJSON, `{"type":"a\u0000","data":1}`, "control character"},
		{"text behind the event", asJSON, `{"type":"a","data":1}x`, "not JSON at byte 22"},
		{"a byte order mark", asJSON, "\ufeff{}", "not JSON at byte 1"},
		{"bytes that are not UTF-8", asJSON, "{\"type\":\"a\",\"data\":\"\xff\"}", "not valid UTF-8"},
		{"an empty array", asJSON, `[]`, "the array has no event"},
		{"an empty batch", asBatch, `[]`, "the array has no event"},
		{"an array in an array", asJSON, `[[]]`, "[0]: not JSON at byte 2"},
		{"the second of an array", asJSON, `[{"type":"a","data":1},{"type":"b"}]`, "[1]: data is missing"},
		{"a type too long in an array", asJSON, `[{"type":"` + strings.Repeat("a", 256) + `","data":1}]`, "[0]: type has 256 bytes"},
		{"1,001 events", asJSON, "[" + strings.Repeat(`{"type":"a","data":1},`, 1000) + `{"type":"a","data":1}]`, "more than 1000 events"},
		{"deep nesting", asJSON, `{"type":"a","data":` + strings.Repeat("[", 100_000), "nests deeper than 256"},
		{"one event as a batch", asBatch, `{` + ce + `}`, "not JSON at byte 1"},
		{"a batch as one event", asStructured, `[{` + ce + `}]`, "not JSON at byte 1"},
		{"a CloudEvent without version", asStructured, `{"id":"1","source":"s","type":"t"}`, `specversion is ""`},
		{"a CloudEvent without id", asStructured, `{"specversion":"1.0","source":"s","type":"t"}`, "id is missing"},
		{"a CloudEvent without source", asStructured, `{"specversion":"1.0","id":"s","type":"t"}`, "source is missing"},
		{"a CloudEvent without type", asStructured, `{"specversion":"1.0","id":"s","source":"t"}`, "type is missing"},
		{"data of another type that is no string", asStructured, `{` + ce + `,"datacontenttype":"text/plain","data":1}`, "data: want a string, or data_base64"},
		{"a time that is none", asStructured, `{` + ce + `,"time":"yesterday"}`, `time "yesterday": want RFC 3339`},
		{"a line break in an extension", asStructured, `{` + ce + `,"ext":"a\r\nb"}`, "attribute ext"},
		{"extensions without end", asStructured, `{` + ce + `,"a":"` + strings.Repeat("a", 2000) + `"}`, "attribute a has 2000 bytes"},
		{"binary without id", header("ce-specversion", "1.0", "ce-source", "s", "ce-type", "t"), "", "id is missing"},
		{"binary of another version", header("ce-specversion", "0.3", "ce-source", "s", "ce-type", "t"), "", `specversion is "0.3"`},
		{"binary with a header twice", asBinary("ce-type", "u"), "", "header ce-type is there twice"},
		{"binary with datacontenttype", asBinary("ce-datacontenttype", "a/b"), "", "in binary mode it is content-type"},
		{"a percent sign alone", asBinary("ce-subject", "100%"), "", "write %25"},
		{"an encoded line break", asBinary("ce-subject", "a%0d%0ab"), "", "control character"},
		{"bytes that are no UTF-8 when decoded", asBinary("ce-key", "%ff"), "", "not valid UTF-8"},
		{"an attribute without name", asBinary("ce-", "x"), "", "names have lower-case letters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePublished(tt.header, []byte(tt.body))
			wantErrorWith(t, err, tt.want)
			if errors.Is(err, ErrMediaType) {
				t.Errorf("%v is ErrMediaType", err)
			}
		})
	}
}

func TestOtherContentTypesAreUnsupported(t *testing.T) {
	t.Parallel()
	for _, h := range []http.Header{
		header("Content-Type", "application/x-www-form-urlencoded"),
		header("Content-Type", "application/cloudevents+xml"),
		header("Content-Type", "application/json; charset=utf-16"),
		header("Content-Type", "/"),
		header("Content-Type", "application/json", "Content-Type", "text/plain"),
	} {
		if _, err := ParsePublished(h, []byte(`{"type":"a","data":1}`)); !errors.Is(err, ErrMediaType) {
			t.Errorf("%v: %v, want ErrMediaType", h, err)
		}
	}
}

func TestDataIsNotCopied(t *testing.T) {
	t.Parallel()
	body := []byte(`{"type":"a","data":[1]}`)
	p, err := ParsePublished(asJSON, body)
	if err != nil {
		t.Fatal(err)
	}
	if &p.Events[0].Body[0] != &body[19] {
		t.Error("Body is a copy, want a slice of the request's")
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, key string
		want            []string
	}{
		{"names a single event", `{"type":"a","data":1}`, "k", []string{"k"}},
		{"leaves the publisher's id", `{"type":"a","data":1,"id":"i"}`, "k", []string{"i"}},
		{"is followed by the index in an array", `[{"type":"a","data":1},{"type":"a","data":1,"id":"i"},{"type":"a","data":1}]`, "k", []string{"k/0", "i", "k/2"}},
		{"an array of one is an array", `[{"type":"a","data":1}]`, "k", []string{"k/0"}},
		{"none names nothing", `{"type":"a","data":1}`, "", []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePublished(asJSON, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.SetIdempotencyKey(tt.key); err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				if got := p.Events[i].GivenID; got != want {
					t.Errorf("event %d is %q, want %q", i, got, want)
				}
			}
		})
	}
	p := &Published{Events: make([]Event, 1)}
	wantErrorWith(t, p.SetIdempotencyKey("a\tb"), "control character")
	wantErrorWith(t, p.SetIdempotencyKey(strings.Repeat("k", MaxAttribute)), "Idempotency-Key has 1024 bytes")
}

// FuzzParsePublished checks that what is taken can be carried: it encodes and decodes to itself.
func FuzzParsePublished(f *testing.F) {
	f.Add("application/json", `{"type":"a","data":{"b":[1]},"id":"i","key":"k"}`, "")
	f.Add("application/json", `[{"type":"a","data":1},{"data":"\ud800","type":"b"}]`, "")
	f.Add("application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA==","x":1}`, "")
	f.Add("application/cloudevents-batch+json", `[{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/plain","data":"x"}]`, "")
	f.Add("text/plain", "body", "%E2%82%AC")
	f.Fuzz(func(t *testing.T, contentType, body, subject string) {
		h := header("Content-Type", contentType)
		if subject != "" {
			h = asBinary("content-type", contentType, "ce-subject", subject)
		}
		p, err := ParsePublished(h, []byte(body))
		if err != nil {
			return
		}
		if len(p.Events) == 0 || len(p.Events) > MaxPublished || !p.Array && len(p.Events) != 1 {
			t.Fatalf("%d events, array %v", len(p.Events), p.Array)
		}
		for i := range p.Events {
			e := &p.Events[i]
			e.ID, e.Time, e.Source = testID(byte(i)), testTime, APISource
			if e.Tenant == "" {
				e.Tenant = DefaultTenant
			}
			got, err := Decode(Encode(e), e.Body)
			if err != nil || !reflect.DeepEqual(got, e) {
				t.Fatalf("got  %+v, %v\nwant %+v", got, err, e)
			}
		}
	})
}

func BenchmarkParsePublished(b *testing.B) {
	b.ReportAllocs()
	body := []byte(`{"type":"invoice.paid","id":"in_1","data":{"text":"` + strings.Repeat("a", 1000) + `"}}`)
	for b.Loop() {
		if _, err := ParsePublished(asJSON, body); err != nil {
			b.Fatal(err)
		}
	}
}
