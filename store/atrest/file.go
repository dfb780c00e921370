package atrest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Resources are sources and endpoints.
type Resources struct {
	Sources   []store.Source
	Endpoints []store.Endpoint
}

// PlanFile compares what the configuration file wants with what is in force, and says what has to become of it, as
// ApplyFile returns it; the store then writes each change. have must have at least what the file manages and what it
// names. ErrExists if the file names something twice.
func PlanFile(have, want Resources, options ...store.ApplyOption) (applied store.Applied, err error) {
	prune := slices.Contains(options, store.ApplyPrune)
	if applied.Sources, err = planSources.changes(have.Sources, want.Sources, prune); err != nil {
		return store.Applied{}, err
	}
	if applied.Endpoints, err = planEndpoints.changes(have.Endpoints, want.Endpoints, prune); err != nil {
		return store.Applied{}, err
	}
	applied.Released = append(planSources.released(applied.Sources), planEndpoints.released(applied.Endpoints)...)
	return applied, nil
}

// planner plans one kind of resource.
type planner[T store.Source | store.Endpoint] struct {
	kind      string
	place     func(*T) place
	managedBy func(*T) *store.ManagedBy
	keep      func(have, want *T) // copies into want what no file says
	equal     func(a, b *T) bool  // whether the same would be written
}

// place is by which resources are found.
type place struct{ tenant, name string }

func (p place) String() string {
	if p.tenant == event.DefaultTenant {
		return p.name
	}
	return p.tenant + "/" + p.name
}

func (p *planner[T]) changes(have, want []T, prune bool) (changes []store.Change[T], err error) {
	before := make(map[place]*T, len(have))
	for i := range have {
		before[p.place(&have[i])] = &have[i]
	}
	named := make(map[place]bool, len(want))
	for _, after := range want { // a copy each: the caller's stay as they are
		at := p.place(&after)
		if named[at] {
			return nil, fmt.Errorf("%s %s is named twice: %w", p.kind, at, store.ErrExists)
		}
		named[at] = true
		*p.managedBy(&after) = store.ManagedByFile
		old, ok := before[at]
		if !ok {
			changes = append(changes, store.Change[T]{Action: store.ChangeCreated, After: after})
			continue
		}
		p.keep(old, &after)
		if !p.equal(old, &after) {
			changes = append(changes, store.Change[T]{Action: store.ChangeUpdated, Before: *old, After: after})
		}
	}
	for i := range have {
		switch old := have[i]; {
		case named[p.place(&old)] || *p.managedBy(&old) != store.ManagedByFile:
		case prune:
			changes = append(changes, store.Change[T]{Action: store.ChangeDeleted, Before: old})
		default:
			after := old
			*p.managedBy(&after) = store.ManagedByAPI
			changes = append(changes, store.Change[T]{Action: store.ChangeReleased, Before: old, After: after})
		}
	}
	return changes, nil
}

// WriteSources writes each change, which then says what was written: insert sets what the store gives a new one.
func WriteSources(changes []store.Change[store.Source], insert, update, bury func(*store.Source) error) error {
	return planSources.write(changes, insert, update, bury)
}

// WriteEndpoints is WriteSources for endpoints.
func WriteEndpoints(changes []store.Change[store.Endpoint], insert, update, bury func(*store.Endpoint) error) error {
	return planEndpoints.write(changes, insert, update, bury)
}

func (p *planner[T]) write(changes []store.Change[T], insert, update, bury func(*T) error) (err error) {
	for i := range changes {
		c, written := &changes[i], &changes[i].After
		switch c.Action {
		case store.ChangeCreated:
			err = insert(written)
		case store.ChangeDeleted:
			gone := c.Before // which stays as it was
			written = &gone
			err = bury(written)
		default:
			err = update(written)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.kind, p.place(written), err)
		}
	}
	return nil
}

func (p *planner[T]) released(changes []store.Change[T]) (names []string) {
	for i := range changes {
		if changes[i].Action == store.ChangeReleased {
			names = append(names, p.kind+" "+p.place(&changes[i].Before).String())
		}
	}
	return names
}

var planSources = planner[store.Source]{
	kind:      "source",
	place:     func(s *store.Source) place { return place{s.Tenant, s.Name} },
	managedBy: func(s *store.Source) *store.ManagedBy { return &s.ManagedBy },
	keep: func(have, want *store.Source) {
		want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
	},
	equal: func(a, b *store.Source) bool {
		return a.Provider == b.Provider && a.Dedupe == b.Dedupe && a.ManagedBy == b.ManagedBy &&
			maps.Equal(a.Params, b.Params) && slices.Equal(a.Secrets, b.Secrets)
	},
}

var planEndpoints = planner[store.Endpoint]{
	kind:      "endpoint",
	place:     func(e *store.Endpoint) place { return place{e.Tenant, e.Name} },
	managedBy: func(e *store.Endpoint) *store.ManagedBy { return &e.ManagedBy },
	keep: func(have, want *store.Endpoint) {
		want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
		want.State, want.StateReason, want.StateSince = have.State, have.StateReason, have.StateSince
	},
	equal: func(a, b *store.Endpoint) bool {
		return a.ManagedBy == b.ManagedBy && equalJSON(specOf(a), specOf(b)) && equalJSON(secretsOf(a), secretsOf(b))
	},
}

// equalJSON compares what a row would hold.
func equalJSON(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}
