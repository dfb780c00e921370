package pgtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFoldersOfKilledTestsAreSwept(t *testing.T) {
	within, p := t.TempDir(), &programs{}
	mine, err := p.tempFolder(within)
	if err != nil {
		t.Fatal(err)
	}
	left, fresh := filepath.Join(within, folderPrefix+"left"), filepath.Join(within, folderPrefix+"fresh")
	for _, path := range []string{left, fresh} {
		if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * folderAge)
	for _, path := range []string{left, mine.path} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	another, err := p.tempFolder(within)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{left: false, fresh: true, mine.path: true, another.path: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
	for _, f := range []*folder{mine, another} {
		if err := f.remove(); err != nil {
			t.Error(err)
		}
	}
}
