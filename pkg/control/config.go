package control

import (
	"strconv"

	"github.com/sluicehq/sluice/pkg/listener"
)

// Config is the section `control:` of the configuration file.
type Config struct {
	Listen string `yaml:"listen"` // HOST:PORT of the management API
	Auth   string `yaml:"auth"`   // AuthKeys, or AuthNone on a loopback listener
}

// The values of Config.Auth.
const (
	AuthKeys = "keys" // every request carries an API key
	AuthNone = "none" // whoever reaches the listener is admin
)

// Defaults returns the section as it is when left out.
func Defaults() Config { return Config{Listen: "127.0.0.1:8081", Auth: AuthKeys} }

// Validate returns everything that is wrong with the section.
func (c Config) Validate() []Problem {
	p := &problems{base: "control"}
	if err := listener.CheckAddress(c.Listen); err != nil {
		p.add("listen", c.Listen, err.Error())
	}
	switch {
	case c.Auth != AuthKeys && c.Auth != AuthNone:
		p.add("auth", c.Auth, "want "+strconv.Quote(AuthKeys)+", or "+strconv.Quote(AuthNone)+" on a loopback listener")
	case c.Auth == AuthNone && !listener.Loopback(c.Listen):
		p.add("auth", c.Auth, "anybody who reaches "+c.Listen+" would be admin: set it to keys, or listen on 127.0.0.1")
	}
	return p.list
}
