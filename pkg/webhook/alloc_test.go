//go:build !race

package webhook

import "testing"

// The race detector makes pools forget at random, so this says nothing under it.
func TestSigningAllocatesItsOutputOnly(t *testing.T) {
	s := newSigner(t, secretA, secretB)
	body := make([]byte, 1024)
	if n := testing.AllocsPerRun(200, func() { _, _ = s.Sign("msg_1", now, body) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
