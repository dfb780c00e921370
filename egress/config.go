package egress

import (
	"crypto/x509"
	"fmt"
)

// Config is what sending needs of the egress section of the configuration, and of the program.
type Config struct {
	// IdleConnections is how many connections are kept open for the next attempt, to all endpoints together; 0 keeps
	// none. Each costs a file descriptor and some 1.5 KiB, with TLS some 8.
	IdleConnections int `yaml:"idle_connections"`

	Version string         `yaml:"-"` // of Sluice, for the user-agent header
	RootCAs *x509.CertPool `yaml:"-"` // who may sign endpoints' certificates; nil: whom the system trusts
}

// maxIdleConnections is more than any process has file descriptors for.
const maxIdleConnections = 1 << 20

// Defaults returns the configuration of an egress section that says nothing.
func Defaults() Config { return Config{IdleConnections: 2048} }

// Validate returns every problem, each as "path: value: what is wrong, what to do", with paths below egress.
func (c Config) Validate() []error {
	if c.IdleConnections < 0 || c.IdleConnections > maxIdleConnections {
		return []error{fmt.Errorf("egress.idle_connections: %d: want 0 to %d", c.IdleConnections, maxIdleConnections)}
	}
	return nil
}
