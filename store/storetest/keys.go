package storetest

import (
	"time"

	"github.com/sluicehq/sluice/store"
)

func newKey(n byte) store.Key {
	return store.Key{Tenant: "acme", Name: "ci", Scope: store.ScopePublish, Hash: [32]byte{n, 31: 0xff}, Prefix: "slk_abcd"}
}

var keyPromises = []promise{
	{"a key comes back with every field", func(b *bench) {
		want := newKey(1)
		b.bumps("CreateKey", func() {
			made := ok(b.Store.CreateKey(b.Context(), want))(b)
			b.about(made.CreatedAt)
			want.ID, want.CreatedAt = made.ID, made.CreatedAt
			equal(b, "CreateKey", made, want)
		})
		equal(b, "ListKeys", ok(b.Store.ListKeys(b.Context()))(b), []store.Key{want})
		equal(b, "Changes", b.changes(0).Keys, []store.Key{want})
	}},
	{"keys are listed oldest first", func(b *bench) {
		first := ok(b.Store.CreateKey(b.Context(), newKey(9)))(b)
		b.Advance(time.Second)
		second := ok(b.Store.CreateKey(b.Context(), newKey(1)))(b)
		equal(b, "ListKeys", ok(b.Store.ListKeys(b.Context()))(b), []store.Key{first, second})
	}},
	{"a revoked key is gone, and its number never used again", func(b *bench) {
		old := ok(b.Store.CreateKey(b.Context(), newKey(1)))(b)
		b.bumps("DeleteKey", func() { b.must(b.Store.DeleteKey(b.Context(), old.ID)) })
		equal(b, "ListKeys", ok(b.Store.ListKeys(b.Context()))(b), nil)
		b.want(b.Store.DeleteKey(b.Context(), old.ID), store.ErrNotFound)
		if again := ok(b.Store.CreateKey(b.Context(), newKey(2)))(b); again.ID <= old.ID {
			b.Fatalf("key %d after key %d", again.ID, old.ID)
		}
	}},
	{"a key is stored once", func(b *bench) {
		ok(b.Store.CreateKey(b.Context(), newKey(1)))(b)
		_, err := b.Store.CreateKey(b.Context(), newKey(1))
		b.want(err, store.ErrExists)
	}},
}
