package dispatcher

import (
	"fmt"
	"time"
)

// Config is the egress section of the configuration, as a dispatcher needs it.
type Config struct {
	InFlight     int           // attempts at once in this process, 1 or more
	SlowInFlight int           // attempts beside them that have run for a second, 1 or more
	MaxHold      time.Duration // longest an event waits for an endpoint before the delivery is queued; 100 ms to 1 m
	Drain        time.Duration // longest a stop waits for running attempts; 1 s to 5 m
	BodyBytes    int64         // memory for bodies in the process, 1 MiB or more
	OpenLimit    int           // deliveries in memory that their events wait for, 1 or more
	Bodies       time.Duration // how long bodies are kept
	History      time.Duration // how long the rest is kept
}

// Defaults returns the production defaults.
func Defaults() Config {
	return Config{
		InFlight: 1024, SlowInFlight: 1024, MaxHold: 5 * time.Second, Drain: 25 * time.Second, BodyBytes: 128 << 20, OpenLimit: 65536,
		Bodies: 14 * 24 * time.Hour, History: 30 * 24 * time.Hour,
	}
}

// Validate returns every problem, each with the value and the remedy.
func (c Config) Validate() []error {
	var errs []error
	between := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s: %v is out of range, want %v to %v", name, v, low, high))
		}
	}
	atLeastOne := func(name string, v int) {
		if v < 1 {
			errs = append(errs, fmt.Errorf("%s: %d is too small, want 1 or more", name, v))
		}
	}
	atLeastOne("egress.in_flight", c.InFlight)
	atLeastOne("egress.slow_in_flight", c.SlowInFlight)
	atLeastOne("egress.open_deliveries", c.OpenLimit)
	if c.BodyBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("egress.bodies: %d bytes is too small, want 1MiB or more", c.BodyBytes))
	}
	between("egress.max_hold", c.MaxHold, 100*time.Millisecond, time.Minute)
	between("egress.drain", c.Drain, time.Second, 5*time.Minute)
	if c.Bodies < time.Hour {
		errs = append(errs, fmt.Errorf("store.retention.bodies: %v is too short, want 1h or more", c.Bodies))
	}
	if c.History < c.Bodies {
		errs = append(errs, fmt.Errorf("store.retention.history: %v is shorter than bodies, want %v or more", c.History, c.Bodies))
	}
	return errs
}
