package event

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeEncodeIsTheIdentity(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*Event{
		"everything":                  full(),
		"nothing":                     least(),
		"origin like its source":      changed(func(e *Event) { e.Origin = "/" + e.Source }),
		"no headers, but a map":       changed(func(e *Event) { e.Headers = map[string]string{} }),
		"an empty body":               changed(func(e *Event) { e.Body = []byte{} }),
		"headers that are not UTF-8":  changed(func(e *Event) { e.Headers["x"] = "a\xffb\xed\xa0\x80" }),
		"replacement character":       changed(func(e *Event) { e.Headers["x"] = "\ufffd" }),
		"a query that is not UTF-8":   changed(func(e *Event) { e.Query = "\xf0\x9f\x98" }),
		"more headers than one stack": changed(func(e *Event) { e.Headers = manyHeaders(64) }),
		"the first year":              changed(func(e *Event) { e.Time = time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(Encode(e), e.Body)
			if err != nil {
				t.Fatal(err)
			}
			wantSameEvent(t, got, e)
		})
	}
}

func changed(change func(e *Event)) *Event {
	e := full()
	change(e)
	return e
}

func manyHeaders(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m["x-"+strings.Repeat("a", i+1)] = "v"
	}
	return m
}

func TestMessageHasTheDocumentedHeaders(t *testing.T) {
	t.Parallel()
	want := [][2]string{
		{"ce_specversion", "1.0"},
		{"ce_id", full().ID.String()},
		{"ce_source", "https://example.com/orders"},
		{"ce_sluicesource", "github"},
		{"ce_type", "push"},
		{"ce_time", "2026-09-21T14:13:20.123Z"},
		{"ce_tenant", "acme"},
		{"ce_key", "repo/1"},
		{"ce_givenid", "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
		{"content-type", "application/json; charset=utf-8"},
		{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{"tracestate", "vendor=1"},
		{"sluice-request", `{"method":"POST","path":"/a/b%20c","query":"x=1&y=%22","headers":{"x-github-event":"push","x-quoted":"\"\\\u0009` + "\u2028é" + `"}}`},
	}
	got := Encode(full())
	if len(got) != len(want) {
		t.Fatalf("%d headers, want %d", len(got), len(want))
	}
	for i, h := range got {
		if h.Name != want[i][0] || string(h.Value) != want[i][1] {
			t.Errorf("header %d is %s: %s, want %s: %s", i, h.Name, h.Value, want[i][0], want[i][1])
		}
	}
}

func TestAnEventHasOneForm(t *testing.T) {
	t.Parallel()
	e := full()
	e.Headers = manyHeaders(20)
	want := Encode(e)
	for range 20 { // maps are walked in another order each time
		if got := Encode(e); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestAnOrdinaryEventHasFewHeaders(t *testing.T) {
	t.Parallel()
	e := full()
	e.Key, e.Origin, e.TraceParent, e.TraceState = "", "", "", ""
	if n := len(Encode(e)); n > 10 {
		t.Errorf("%d headers, want at most the 10 attributes that SQS allows", n)
	}
}

func TestHeaderValuesDoNotOverlap(t *testing.T) {
	t.Parallel()
	e := full()
	e.Query = strings.Repeat("\xff", 500) // escapes outgrow the estimate
	headers := Encode(e)
	for i := range headers {
		_ = append(headers[i].Value, "overwritten"...)
	}
	got, err := Decode(headers, e.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantSameEvent(t, got, e)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers []Header
		want    string
	}{
		{"nothing at all", nil, "header ce_specversion is missing"},
		{"a message without id", without("ce_id"), "header ce_id is missing"},
		{"a message without source", without("ce_source"), "header ce_source is missing"},
		{"a message without type", without("ce_type"), "header ce_type is missing"},
		{"a message without time", without("ce_time"), "header ce_time is missing"},
		{"a message without tenant", without("ce_tenant"), "header ce_tenant is missing"},
		{"an empty header", with("ce_key", ""), "header ce_key is empty"},
		{"another version of CloudEvents", with("ce_specversion", "0.3"), `header ce_specversion: "0.3", want 1.0`},
		{"an id that is not ours", with("ce_id", "A234-1234"), `header ce_id: event id "A234-1234"`},
		{"a source that is not ours", without("ce_sluicesource"), `header ce_source: "https://example.com/orders", want / and`},
		{"a time without milliseconds", with("ce_time", "2026-09-21T14:13:20Z"), "header ce_time"},
		{"a time with microseconds", with("ce_time", "2026-09-21T14:13:20.123456Z"), "header ce_time"},
		{"a time elsewhere", with("ce_time", "2026-09-21T14:13:20.1+01:00"), "header ce_time"},
		{"a day that is none", with("ce_time", "2026-02-30T14:13:20.123Z"), "header ce_time"},
		{"a comma in a time", with("ce_time", "2026-09-21T14:13:20,123Z"), "header ce_time"},
		{"a control character", with("ce_type", "a\x00b"), "control character"},
		{"a header twice", append(Encode(full()), Header{"ce_type", []byte("x")}), "header ce_type is there twice"},
		{"headers without end", append(Encode(full()), Header{"x-padding", make([]byte, MaxHeaders)}), "more than the"},
		{"a request that is no object", with("sluice-request", `[]`), "header sluice-request: not JSON at byte 1"},
		{"a request that ends early", with("sluice-request", `{"method":"POST"`), "header sluice-request: JSON ends too early"},
		{"a request with more behind it", with("sluice-request", `{} {}`), "header sluice-request: not JSON at byte 4"},
		{"a member twice", with("sluice-request", `{"path":"/","path":"/"}`), `member "path" is there twice`},
		{"a header of the request twice", with("sluice-request", `{"headers":{"a":"1","a":"2"}}`), `member "a" is there twice`},
		{"a method that is no string", with("sluice-request", `{"method":1}`), "header sluice-request: not JSON at byte 11"},
		{"a header that is no string", with("sluice-request", `{"headers":{"a":null}}`), `value of "a"`},
		{"half a surrogate pair", with("sluice-request", `{"path":"\ud83d"}`), "surrogate"},
		{"a byte that needs no escape", with("sluice-request", `{"path":"\udc41"}`), "surrogate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode(tt.headers, nil)
			wantErrorWith(t, err, tt.want)
		})
	}
}

func TestDecodeIgnoresWhatOthersAdd(t *testing.T) {
	t.Parallel()
	e := full()
	headers := append(Encode(e), Header{"x-datadog-trace-id", []byte("1")}, Header{"ce_future", nil}, Header{"ce_future", nil})
	for i := range headers {
		if headers[i].Name == headerRequest {
			headers[i].Value = []byte(strings.Replace(string(headers[i].Value), "{", `{"future":{"a":[1]},`, 1))
		}
	}
	got, err := Decode(headers, e.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantSameEvent(t, got, e)
}

func without(name string) []Header {
	var out []Header
	for _, h := range Encode(full()) {
		if h.Name != name {
			out = append(out, h)
		}
	}
	return out
}

func with(name, value string) []Header {
	headers := Encode(full())
	for i := range headers {
		if headers[i].Name == name {
			headers[i].Value = []byte(value)
		}
	}
	return headers
}

func FuzzMessage(f *testing.F) {
	e := full()
	f.Add(e.Tenant, e.Source, e.Type, e.Key, e.GivenID, e.Origin, e.Method, e.Path, e.Query, e.ContentType, "x", "y", e.TraceParent, testTime.UnixMilli(), e.Body)
	f.Add("t", "s", "a", "", "", "", "", "", "\xff\\\"\x00", "", "\xed\xa0\x80", "\ufffd😀", "", int64(-1), []byte(nil))
	f.Fuzz(func(t *testing.T, tenant, source, typ, key, givenID, origin, method, path, query, contentType, name, value, trace string, ms int64, body []byte) {
		e := &Event{
			ID: testID(3), Tenant: tenant, Source: source, Type: typ, Key: key, GivenID: givenID, Origin: origin,
			Method: method, Path: path, Query: query, ContentType: contentType, Time: time.UnixMilli(ms).UTC(),
			TraceParent: trace, TraceState: trace, Body: body,
		}
		if name != "" {
			e.Headers = map[string]string{name: value, "other": value}
		}
		if e.Validate() != nil {
			return
		}
		headers := Encode(e)
		got, err := Decode(headers, e.Body)
		if err != nil {
			t.Fatalf("Decode(Encode(%+v)): %v", e, err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("got  %+v\nwant %+v", got, e)
		}
		got, err = DecodeStructured(EncodeStructured(e))
		if err != nil {
			t.Fatalf("DecodeStructured(%s): %v", EncodeStructured(e), err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("structured:\ngot  %+v\nwant %+v", got, e)
		}
		if !json.Valid(EncodeStructured(e)) {
			t.Fatalf("structured form is not JSON: %s", EncodeStructured(e))
		}
	})
}

// FuzzDecode checks that what decodes from anything encodes to something that decodes to the same.
func FuzzDecode(f *testing.F) {
	seed := func(e *Event) {
		values := map[string]string{}
		for _, h := range Encode(e) {
			values[h.Name] = string(h.Value)
		}
		f.Add(values["ce_id"], values["ce_source"], values["ce_sluicesource"], values["ce_time"], values["ce_type"], values["sluice-request"])
	}
	seed(full())
	seed(least())
	f.Fuzz(func(t *testing.T, id, source, sluice, at, typ, request string) {
		headers := []Header{
			{headerSpec, specValue},
			{headerID, []byte(id)},
			{headerSource, []byte(source)},
			{headerType, []byte(typ)},
			{headerTime, []byte(at)},
			{headerTenant, []byte("t")},
			{headerRequest, []byte(request)},
		}
		if sluice != "" {
			headers = append(headers, Header{headerSluice, []byte(sluice)})
		}
		e, err := Decode(headers, nil)
		if err != nil {
			return
		}
		again, err := Decode(Encode(e), nil)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("decoded %+v, again %+v, %v", e, again, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	e := ordinary()
	for b.Loop() {
		Encode(e)
	}
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	e := ordinary()
	headers := Encode(e)
	for b.Loop() {
		if _, err := Decode(headers, e.Body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClaimDigest(b *testing.B) {
	b.ReportAllocs()
	e := ordinary()
	e.Body = make([]byte, 1024)
	for b.Loop() {
		ClaimDigest(e)
	}
}

func BenchmarkIDString(b *testing.B) {
	b.ReportAllocs()
	id := testID(1)
	for b.Loop() {
		_ = id.String()
	}
}

// ordinary returns an event such as a provider's webhook makes.
func ordinary() *Event {
	e := full()
	e.Key, e.Origin, e.Query, e.TraceState = "", "", "", ""
	e.Headers = map[string]string{
		"user-agent": "GitHub-Hookshot/044aadd", "x-github-event": "push", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		"x-github-hook-id": "292430182",
	}
	return e
}
