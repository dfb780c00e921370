package event

import (
	"reflect"
	"strings"
	"testing"
)

func TestStructuredIsTheDocumentedJSON(t *testing.T) {
	t.Parallel()
	const want = `{"specversion":"1.0","id":"evt_01km6kk87v00000000000000002","source":"/api","type":"a","time":"2026-09-21T14:13:20.123Z","tenant":"default"}`
	got := string(EncodeStructured(least()))
	want2 := strings.Replace(want, "evt_01km6kk87v00000000000000002", testID(2).String(), 1)
	if got != want2 {
		t.Errorf("got  %s\nwant %s", got, want2)
	}
	e := full()
	doc := string(EncodeStructured(e))
	if !strings.HasSuffix(doc, `,"data":{"ref": "refs/heads/main"}}`) {
		t.Errorf("JSON does not stand as it is: %s", doc)
	}
}

func TestDecodeStructuredEncodeStructuredIsTheIdentity(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*Event{
		"everything":                       full(),
		"nothing":                          least(),
		"a body with space around it":      changed(func(e *Event) { e.Body = []byte(" {} \n") }),
		"a body that is not JSON":          changed(func(e *Event) { e.Body = []byte("{") }),
		"a body that is not UTF-8":         changed(func(e *Event) { e.Body = []byte("\"\xff\"") }),
		"a string as body":                 changed(func(e *Event) { e.Body = []byte(`"\ud800"`) }),
		"text":                             changed(func(e *Event) { e.ContentType, e.Body = "text/plain", []byte(`"text"`) }),
		"no content type":                  changed(func(e *Event) { e.ContentType = "" }),
		"a content type that is none":      changed(func(e *Event) { e.ContentType = "application/json;;" }),
		"an empty body":                    changed(func(e *Event) { e.Body = []byte{} }),
		"no body":                          changed(func(e *Event) { e.Body = nil }),
		"origin like its source":           changed(func(e *Event) { e.Origin = "/" + e.Source }),
		"a request longer than attributes": changed(func(e *Event) { e.Query = strings.Repeat("\xff", MaxRequest/2) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeStructured(EncodeStructured(e))
			if err != nil {
				t.Fatal(err)
			}
			wantSameEvent(t, got, e)
		})
	}
}

func TestDecodeStructuredRefuses(t *testing.T) {
	t.Parallel()
	ok := string(EncodeStructured(least()))
	edit := func(from, to string) string { return strings.Replace(ok, from, to, 1) }
	tests := []struct{ name, doc, want string }{
		{"nothing", "", "JSON ends too early"},
		{"an array", "[]", "not JSON at byte 1"},
		{"bytes that are not UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8"},
		{"two documents", ok + ok, "not JSON at byte"},
		{"an id of somebody else", edit("evt_", "msg_"), "event id"},
		{"a source of somebody else", edit("/api", "urn:x"), `source "urn:x"`},
		{"a time with microseconds", edit("123Z", "123456Z"), "want a time such as"},
		{"no time", edit(`"time"`, `"zeit"`), "want a time such as"},
		{"no tenant", edit(`"tenant"`, `"mieter"`), "tenant is missing"},
		{"a member twice", edit(`{`, `{"id":"1",`), `member "id" is there twice`},
		{"both kinds of data", edit(`{`, `{"data":1,"data_base64":"",`), "exclude each other"},
		{"base64 without padding", edit(`{`, `{"data_base64":"YQ",`), "data_base64: not base64"},
		{"base64 with a line break", edit(`{`, `{"data_base64":"YQ\n==",`), "data_base64: not base64"},
		{"base64 with stray bits", edit(`{`, `{"data_base64":"YR==",`), "data_base64: not base64"},
		{"an object as attribute", edit(`{`, `{"a":{},`), `attribute "a": want a string`},
		{"a fraction as attribute", edit(`{`, `{"a":1.5,`), `attribute "a": want a whole number`},
		{"a number as type", edit(`"a"`, `1`), "attribute type: want a string"},
		{"an attribute in capitals", edit(`{`, `{"Subject":"a",`), `attribute "Subject": names have`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeStructured([]byte(tt.doc))
			wantErrorWith(t, err, tt.want)
		})
	}
}

func FuzzDecodeStructured(f *testing.F) {
	f.Add(EncodeStructured(full()))
	f.Add(EncodeStructured(least()))
	f.Add([]byte(`{"specversion":"1.0","id":"x","source":"/a","type":"t","data_base64":"AA==","n":1,"b":true,"z":null}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := DecodeStructured(doc)
		if err != nil {
			return
		}
		again, err := DecodeStructured(EncodeStructured(e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("decoded %+v, again %+v, %v", e, again, err)
		}
	})
}
