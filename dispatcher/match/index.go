package match

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Grace is how much later than the event an endpoint may have been created and still get it: clocks of ingress and
// store differ, and a publisher may write an endpoint and then an event.
const Grace = 3 * time.Second

// Index finds the endpoints that subscribe to an event. It is immutable and safe for concurrent use; it points to the
// endpoints it was compiled from, which must not change.
type Index struct {
	scopes map[scope]*patterns
}

// scope is where patterns look: one tenant's events from one source, or, with an empty source, from all of them.
type scope struct{ tenant, source string }

// patterns maps the fixed text of each pattern of one scope to its endpoints, by ascending ID without repetition.
type patterns struct {
	every    []*store.Endpoint
	literals map[string][]*store.Endpoint
	segments map[string][]*store.Endpoint
	deeps    map[string][]*store.Endpoint
	deepest  int // bytes of the longest key of deeps
}

// Compile makes the index of endpoints, which must not hold deleted ones. A pattern that ValidatePattern refuses
// matches nothing: it can only come from a store written by a newer version.
func Compile(endpoints []*store.Endpoint) *Index {
	sorted := slices.SortedFunc(slices.Values(endpoints), byID)
	ix := &Index{scopes: make(map[scope]*patterns)}
	for _, e := range sorted {
		for i := range e.Subscriptions {
			ix.subscribe(e, &e.Subscriptions[i])
		}
	}
	return ix
}

func byID(a, b *store.Endpoint) int { return cmp.Compare(a.ID, b.ID) }

func (ix *Index) subscribe(e *store.Endpoint, s *store.Subscription) {
	if len(s.Sources) == 0 {
		ix.scope(e.Tenant, "").add(e, s.Types)
	}
	for _, source := range s.Sources {
		if source != "" { // the empty name is the scope of all sources, and no source has it
			ix.scope(e.Tenant, source).add(e, s.Types)
		}
	}
}

func (ix *Index) scope(tenant, source string) *patterns {
	key := scope{tenant, source}
	p := ix.scopes[key]
	if p == nil {
		p = &patterns{
			literals: make(map[string][]*store.Endpoint),
			segments: make(map[string][]*store.Endpoint),
			deeps:    make(map[string][]*store.Endpoint),
		}
		ix.scopes[key] = p
	}
	return p
}

func (p *patterns) add(e *store.Endpoint, types []string) {
	if len(types) == 0 {
		p.every = appendOnce(p.every, e)
	}
	for _, pattern := range types {
		k, text, err := parse(pattern)
		if err != nil {
			continue
		}
		switch k {
		case every:
			p.every = appendOnce(p.every, e)
		case literal:
			p.literals[text] = appendOnce(p.literals[text], e)
		case segment:
			p.segments[text] = appendOnce(p.segments[text], e)
		case deep:
			p.deeps[text] = appendOnce(p.deeps[text], e)
			p.deepest = max(p.deepest, len(text))
		}
	}
}

// appendOnce relies on endpoints coming one after the other: a repetition is the last one.
func appendOnce(to []*store.Endpoint, e *store.Endpoint) []*store.Endpoint {
	if len(to) > 0 && to[len(to)-1] == e {
		return to
	}
	return append(to, e)
}

// Match appends to dst each endpoint that e goes to, once, by ascending ID, and returns it. It allocates nothing but
// what dst needs to grow.
func (ix *Index) Match(dst []*store.Endpoint, e *event.Event) []*store.Endpoint {
	start, lists := len(dst), 0
	dst, lists = ix.scopes[scope{e.Tenant, ""}].match(dst, lists, e)
	dst, lists = ix.scopes[scope{e.Tenant, e.Source}].match(dst, lists, e)
	if lists < 2 { // one list is sorted and has each endpoint once
		return dst
	}
	found := dst[start:]
	slices.SortFunc(found, byID)
	return dst[:start+len(slices.Compact(found))]
}

// match appends what the scope has for e, list after list, and adds to lists how many gave something.
func (p *patterns) match(dst []*store.Endpoint, lists int, e *event.Event) ([]*store.Endpoint, int) {
	if p == nil {
		return dst, lists
	}
	latest := e.Time.Add(Grace)
	take := func(list []*store.Endpoint) {
		n := len(dst)
		for _, endpoint := range list {
			if !endpoint.CreatedAt.After(latest) {
				dst = append(dst, endpoint)
			}
		}
		if len(dst) > n {
			lists++
		}
	}
	if !strings.HasPrefix(e.Type, reserved) {
		take(p.every)
	}
	take(p.literals[e.Type])
	p.matchPrefixes(e.Type, take)
	return dst, lists
}

// matchPrefixes takes what subscribes to what lies below a prefix of typ. Each dot but a final one ends a prefix.
func (p *patterns) matchPrefixes(typ string, take func([]*store.Endpoint)) {
	for i := 0; i < len(typ)-1 && i <= p.deepest; i++ {
		if typ[i] == '.' {
			take(p.deeps[typ[:i]])
		}
	}
	if i := strings.LastIndexByte(typ, '.'); i > 0 && i < len(typ)-1 {
		take(p.segments[typ[:i]])
	}
}
