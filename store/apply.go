package store

// ApplyOption changes what ApplyFile does.
type ApplyOption uint8

// The options of ApplyFile.
const (
	ApplyPrune  ApplyOption = iota + 1 // delete what the file managed and no longer names, as the API would
	ApplyDryRun                        // change nothing, and say what would change
)

// Applied says what ApplyFile did, or would do: what the file names in the order of the file, then what it no longer
// names by id. What stays as it is is not in it.
type Applied struct {
	Sources   []Change[Source]
	Endpoints []Change[Endpoint]
	Released  []string // what the API manages from now on, for a warning: "source NAME", "endpoint TENANT/NAME"
}

// Change is what becomes of a source or an endpoint.
type Change[T Source | Endpoint] struct {
	Action ChangeAction
	Before T // zero if it is created
	After  T // zero if it is deleted; a dry run gives what is created no ID and no times
}

// ChangeAction is the kind of a Change.
type ChangeAction string

// What ApplyFile does with a source or an endpoint.
const (
	ChangeCreated  ChangeAction = "created"
	ChangeUpdated  ChangeAction = "updated"  // taken over from the API too
	ChangeReleased ChangeAction = "released" // its ManagedBy is ManagedByAPI now, and nothing else differs
	ChangeDeleted  ChangeAction = "deleted"
)
