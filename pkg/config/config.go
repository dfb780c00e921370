package config

import (
	"time"

	"github.com/sluicehq/sluice/dispatcher"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/ingress"
	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Config is the configuration, references resolved and everything validated. Each part gets its own struct from the
// methods below.
type Config struct {
	DataDir       string                 `yaml:"data_dir" doc:"Directory of what this process keeps: the SQLite files and the last good copy of sources and endpoints. Made if it is not there."`
	EncryptionKey []control.Secret       `yaml:"encryption_key" doc:"Keys that seal secrets at rest, each 32 bytes in base64, as openssl rand -base64 32 prints. The first seals, all open. With the embedded database dev and serve make one in data_dir when there is none; with PostgreSQL it must be set, the same for every process."`
	Broker        Broker                 `yaml:"broker"`
	Store         Store                  `yaml:"store"`
	Ingress       Ingress                `yaml:"ingress"`
	Egress        Egress                 `yaml:"egress"`
	Control       Control                `yaml:"control"`
	Ops           Ops                    `yaml:"ops"`
	Network       Network                `yaml:"network"`
	Telemetry     telemetry.Config       `yaml:"telemetry"`
	Sources       []control.SourceSpec   `yaml:"sources" doc:"Ways in, as the management API takes them. Read by dev, serve and apply only; the API shows them read-only."`
	Endpoints     []control.EndpointSpec `yaml:"endpoints" doc:"Receivers, as the management API takes them. Read by dev, serve and apply only; the API shows them read-only."`

	// Resources are Sources and Endpoints, validated. Only with Input.Resources.
	Resources Resources `yaml:"-"`
}

// Resources are the sources and endpoints that the file manages.
type Resources struct {
	Sources   []store.Source
	Endpoints []store.Endpoint
}

// Broker is the section of the message broker.
type Broker struct {
	URL   string `yaml:"url" doc:"Where events lie until they are settled. sqlite: keeps them in data_dir. May be env:NAME or file:PATH."`
	Topic string `yaml:"topic" doc:"Topic that ingress writes."`
	Group string `yaml:"group" doc:"Consumer group of the dispatchers."`
}

// Store is the section of the database.
type Store struct {
	URL       string    `yaml:"url" doc:"Database of configuration, queue and history. sqlite: keeps it in data_dir. postgres://USER@HOST/DATABASE, with the parameters of libpq and pool_max_conns, is shared by any number of processes; sluice migrate up makes its tables. May be env:NAME or file:PATH."`
	Retention Retention `yaml:"retention"`
}

// Retention is how long history is kept.
type Retention struct {
	Bodies  Duration `yaml:"bodies" doc:"How long bodies of events are kept, and so how long a delivery may wait. 1h or more."`
	History Duration `yaml:"history" doc:"How long events, deliveries and attempts are kept. As long as bodies, or longer."`
}

// Ingress is the section of the front door.
type Ingress struct {
	Listen        string `yaml:"listen" doc:"HOST:PORT that providers and publishers call."`
	PublicURL     string `yaml:"public_url" doc:"What providers call it, without a path; some sign it. Empty: not known."`
	MaxBody       Bytes  `yaml:"max_body" doc:"Largest body of a request, up to 25MiB. Larger ones get 413."`
	MaxConns      int    `yaml:"max_conns" doc:"Connections at once; further ones wait."`
	MaxConnsPerIP int    `yaml:"max_conns_per_ip" doc:"Of them from one address, or one /64 of IPv6. Loopback has no limit. Behind a proxy, as many as it opens."`
}

// Egress is the section of the dispatcher and its attempts.
type Egress struct {
	InFlight        int      `yaml:"in_flight" doc:"Attempts at once in this process."`
	SlowInFlight    int      `yaml:"slow_in_flight" doc:"Attempts beside them that have run for a second or longer."`
	Bodies          Bytes    `yaml:"bodies" doc:"Memory for bodies, everywhere in the process; at this limit Sluice pushes back. 1MiB or more."`
	OpenDeliveries  int      `yaml:"open_deliveries" doc:"Deliveries in memory that their events wait for; larger fan-outs are matched in slices."`
	Commit          string   `yaml:"commit" doc:"When the broker's position moves on: settled, once each delivery of an event is finished or durably queued."`
	MaxHold         Duration `yaml:"max_hold" doc:"Longest an event waits for an endpoint before its delivery is queued. 100ms to 1m."`
	Drain           Duration `yaml:"drain" doc:"Longest a stop waits for running attempts. 1s to 5m."`
	IdleConnections int      `yaml:"idle_connections" doc:"Connections kept open for the next attempt, to all endpoints together. 0 keeps none."`
}

// Control is the section of the management API.
type Control struct {
	Listen string `yaml:"listen" doc:"HOST:PORT of the management API."`
	Auth   string `yaml:"auth" doc:"keys: requests carry an API key. none: whoever reaches it is admin; on a loopback listener only."`
}

// Ops is the section of the listener for operators.
type Ops struct {
	Listen string `yaml:"listen" doc:"HOST:PORT of /healthz, /readyz, /metrics and /debug/pprof. Nobody is asked for a key here."`
}

// Network is the section of where deliveries may go.
type Network struct {
	Allow     []string `yaml:"allow" doc:"Ranges (CIDR) that deliveries may reach although they are denied by default, such as 10.0.0.0/8."`
	AllowHTTP bool     `yaml:"allow_http" doc:"Endpoints may have http URLs."`
}

// SQLite is broker.url and store.url of what is embedded, in data_dir.
const SQLite = "sqlite:"

// CommitSettled is egress.commit, the only value this version takes.
const CommitSettled = "settled"

// Defaults returns the production defaults: what an empty file means.
func Defaults() Config {
	in, work, send, api, network := ingress.Defaults(), dispatcher.Defaults(), egress.Defaults(), control.Defaults(), dialguard.Defaults()
	return Config{
		DataDir: "./sluice-data",
		Broker:  Broker{URL: SQLite, Topic: "sluice.events", Group: "sluice-egress"},
		Store:   Store{URL: SQLite, Retention: Retention{Bodies: Duration(work.Bodies), History: Duration(work.History)}},
		Ingress: Ingress{
			Listen: in.Listen, PublicURL: in.PublicURL, MaxBody: Bytes(in.MaxBody), MaxConns: in.MaxConns, MaxConnsPerIP: in.MaxConnsPerIP,
		},
		Egress: Egress{
			InFlight: work.InFlight, SlowInFlight: work.SlowInFlight, Bodies: Bytes(work.BodyBytes), OpenDeliveries: work.OpenLimit,
			Commit: CommitSettled, MaxHold: Duration(work.MaxHold), Drain: Duration(work.Drain), IdleConnections: send.IdleConnections,
		},
		Control:   Control{Listen: api.Listen, Auth: api.Auth},
		Ops:       Ops{Listen: "127.0.0.1:8082"},
		Network:   Network{Allow: network.Allow, AllowHTTP: network.AllowHTTP},
		Telemetry: telemetry.Defaults(),
	}
}

// ForIngress returns what package ingress gets.
func (c *Config) ForIngress() ingress.Config {
	cfg := ingress.Defaults()
	cfg.Listen, cfg.PublicURL, cfg.MaxBody = c.Ingress.Listen, c.Ingress.PublicURL, int64(c.Ingress.MaxBody)
	cfg.MaxConns, cfg.MaxConnsPerIP = c.Ingress.MaxConns, c.Ingress.MaxConnsPerIP
	return cfg
}

// ForDispatcher returns what package dispatcher gets.
func (c *Config) ForDispatcher() dispatcher.Config {
	cfg := dispatcher.Defaults()
	cfg.InFlight, cfg.SlowInFlight, cfg.OpenLimit = c.Egress.InFlight, c.Egress.SlowInFlight, c.Egress.OpenDeliveries
	cfg.BodyBytes = int64(c.Egress.Bodies)
	cfg.MaxHold, cfg.Drain = time.Duration(c.Egress.MaxHold), time.Duration(c.Egress.Drain)
	cfg.Bodies, cfg.History = time.Duration(c.Store.Retention.Bodies), time.Duration(c.Store.Retention.History)
	return cfg
}

// ForEgress returns what package egress gets, without Version.
func (c *Config) ForEgress() egress.Config {
	cfg := egress.Defaults()
	cfg.IdleConnections = c.Egress.IdleConnections
	return cfg
}

// ForControl returns what package control gets.
func (c *Config) ForControl() control.Config {
	cfg := control.Defaults()
	cfg.Listen, cfg.Auth = c.Control.Listen, c.Control.Auth
	return cfg
}

// ForDialGuard returns what package dialguard gets.
func (c *Config) ForDialGuard() dialguard.Config {
	cfg := dialguard.Defaults()
	cfg.Allow, cfg.AllowHTTP = c.Network.Allow, c.Network.AllowHTTP
	return cfg
}

// Sealer returns what seals secrets at rest; nil if no encryption key is set.
func (c *Config) Sealer() (*store.Sealer, error) {
	if len(c.EncryptionKey) == 0 {
		return nil, nil
	}
	return store.ParseKeys(c.keyList())
}

func (c *Config) keyList() store.Secret {
	list := store.Secret("")
	for i, key := range c.EncryptionKey {
		if i > 0 {
			list += ","
		}
		list += store.Secret(key)
	}
	return list
}
