package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.json")

// document is what tests read of the OpenAPI document.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Description string
		Tags        []string
		Security    []map[string][]string
		RequestBody *struct{ Required bool }
		Parameters  []struct{ Name, In, Description string }
		Responses   map[string]json.RawMessage
	}
}

func openapi(t *testing.T, w *world) (document, []byte) {
	t.Helper()
	a := w.request(http.MethodGet, "/openapi.json", "", "")
	return want[document](t, a, http.StatusOK), []byte(a.body)
}

func TestDocumentIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	_, body := openapi(t, newWorld(t))
	var got bytes.Buffer
	if err := json.Indent(&got, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	path := filepath.Join("..", "..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, got.Bytes()) {
		t.Error("docs/openapi.json differs from the routes; look at what changed, then run go test ./pkg/control -run Document -update")
	}
}

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := openapi(t, newWorld(t))
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi %q, want 3.1", doc.OpenAPI)
	}
	routes := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes++
			at := method + " " + path
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 || len(op.Security) != 1 {
				t.Errorf("%s lacks a summary, an id, a tag or its security: %+v", at, op)
			}
			for _, p := range op.Parameters {
				if p.Description == "" && p.In != "path" {
					t.Errorf("%s: parameter %s has no description", at, p.Name)
				}
			}
			for _, status := range []string{"401", "403", "503"} {
				if op.Responses[status] == nil {
					t.Errorf("%s does not say that it can answer %s", at, status)
				}
			}
		}
	}
	if routes != 19 {
		t.Errorf("%d routes, want 19", routes)
	}
}
