package sqlite

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func contains(s string, all ...string) bool {
	for _, sub := range all {
		if !strings.Contains(s, sub) {
			return false
		}
	}
	return true
}

// TestStreamsAreSharedEvenlyAndMoveLittle joins and leaves at random.
func TestStreamsAreSharedEvenlyAndMoveLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		streams := rapid.IntRange(1, 12).Draw(t, "streams")
		g := &group{topic: &topic{streams: make([]*stream, streams)}, want: make([]*member, streams)}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				before := append([]*member(nil), g.want...)
				m := g.join()
				wantFewMoves(t, before, g.want, m)
			},
			"leave": func(t *rapid.T) {
				if len(g.members) == 0 {
					t.Skip()
				}
				before := append([]*member(nil), g.want...)
				m := g.members[rapid.IntRange(0, len(g.members)-1).Draw(t, "who")]
				g.leave(m)
				wantFewMoves(t, before, g.want, m)
			},
			"": func(t *rapid.T) {
				share := map[*member]int{}
				for _, m := range g.members {
					share[m] = 0
				}
				for _, m := range g.want {
					if _, ok := share[m]; !ok && len(g.members) > 0 {
						t.Fatal("a stream goes to nobody, or to who left")
					}
					share[m]++
				}
				for _, m := range g.members {
					if few := streams / len(g.members); share[m] < few || share[m] > few+1 {
						t.Fatalf("a member has %d of %d streams of %d members", share[m], streams, len(g.members))
					}
				}
			},
		})
	})
}

// wantFewMoves fails if a stream moved between two members of which neither came nor went.
func wantFewMoves(t *rapid.T, before, after []*member, changed *member) {
	t.Helper()
	for i := range before {
		if before[i] != nil && before[i] != after[i] && before[i] != changed && after[i] != changed {
			t.Fatalf("stream %d moved from one who stays to another who stays", i)
		}
	}
}
