package store

import "time"

// EndpointID is an endpoint's number, never used twice; the API writes it "ep_" and seven characters. Zero is none.
type EndpointID uint32

// EndpointState is what people decided about an endpoint (and Sluice, when it disables one).
type EndpointState string

// The states of an endpoint. What is queued waits in a paused and in a disabled one; a deleted one's is canceled.
const (
	EndpointActive   EndpointState = "active"
	EndpointPaused   EndpointState = "paused"   // does not age, sends nothing until resumed
	EndpointDisabled EndpointState = "disabled" // failed for 5 days, or said 410; sends nothing until enabled
	EndpointDeleted  EndpointState = "deleted"  // a tombstone: kept for the history to name
)

// Endpoint is one receiver of events.
type Endpoint struct {
	ID            EndpointID
	Tenant        string
	Name          string // unique in its tenant among those not deleted
	URL           string // may carry secrets: never log it whole
	Secrets       []SigningSecret
	Auth          Auth
	Headers       map[string]string
	Forward       Forward
	Subscriptions []Subscription
	RateLimit     RateLimit
	MaxInFlight   int           // attempts at once in the whole fleet; 0: adaptive alone
	MaxQueued     int64         // beyond it new deliveries are dead, reason overflow; > 0
	Timeout       time.Duration // of one attempt, 1 s to 60 s
	Retry         RetryPolicy
	State         EndpointState
	StateReason   string
	StateSince    time.Time // the last pause, resume, enable or disable; CreatedAt before the first
	ManagedBy     ManagedBy
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Exclusive reports whether only the shard owner may send to the endpoint, so that its own limits hold for the fleet.
func (e *Endpoint) Exclusive() bool { return e.RateLimit.PerSecond > 0 || e.MaxInFlight > 0 }

// SigningSecret signs what goes to an endpoint, until it is retired.
type SigningSecret struct {
	Secret Secret    // "whsec_" + base64, or "whsk_" + base64 (ed25519 private key)
	Until  time.Time // retired from then on; zero: in force
}

// Auth is how a delivery authenticates itself besides its signature.
type Auth struct {
	Kind     string // AuthNone, AuthBasic, AuthBearer or AuthHeader
	Username string // basic
	Header   string // header: its name
	Secret   Secret // password, token or header value
}

// The kinds of Auth. The empty kind is AuthNone.
const (
	AuthNone   = "none"
	AuthBasic  = "basic"
	AuthBearer = "bearer"
	AuthHeader = "header"
)

// Forward says which parts of the inbound request go along.
type Forward struct{ Headers, Query, Path bool }

// Subscription selects events: any of Types (none means all) from any of Sources (none means all).
type Subscription struct {
	Types   []string // patterns of dispatcher/match
	Sources []string // names
}

// RateLimit is an endpoint's token bucket; the zero value is no limit.
type RateLimit struct {
	PerSecond float64
	Burst     int
}

// RetryPolicy spaces the attempts of a delivery: min(Cap, Base·Factor^(n−1)) · U(½, 1) after the nth, until MaxAge
// after the later of the delivery's first attempt and the endpoint's last resume or enable.
type RetryPolicy struct {
	Base   time.Duration
	Factor float64
	Cap    time.Duration
	MaxAge time.Duration
}

// DefaultRetry is the policy of endpoints that set none: 10 s, tripling to 12 h, for 72 h.
func DefaultRetry() RetryPolicy {
	return RetryPolicy{Base: 10 * time.Second, Factor: 3, Cap: 12 * time.Hour, MaxAge: 72 * time.Hour}
}

// DefaultMaxQueued is Endpoint.MaxQueued of endpoints that set none.
const DefaultMaxQueued = 1_000_000

// DefaultTimeout is Endpoint.Timeout of endpoints that set none.
const DefaultTimeout = 15 * time.Second
