package main

import (
	"errors"
	"testing"
	"time"
)

// The relay stands in for sluice here: what is tested is that generator, receiver and the measuring between them agree.
func TestLoadOnRelayIsCountedWhole(t *testing.T) {
	b := &bench{out: t.TempDir(), size: 512, conns: 4, events: 10_000}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	err := b.withRelay(t.Context(), nil, func(r *rig) error {
		for range 2 { // the second run must not count the first one's events
			res, err := r.run(t.Context(), load{rate: 200, warm: 500 * time.Millisecond, measure: 1500 * time.Millisecond, drain: 10 * time.Second})
			if err != nil {
				return err
			}
			if res.Sent != 400 || res.Missing != 0 || res.Duplicates != 0 || res.Signature != 0 || res.Unknown != 0 || len(res.Refused) != 0 {
				t.Errorf("400 events at 200/s: got %+v", res)
			}
			if res.EndToEnd.N != 300 || res.Ack.N != 300 || res.EndToEnd.P50 <= 0 {
				t.Errorf("latencies of the 300 events after the warm-up: got %+v acknowledged, %+v delivered", res.Ack, res.EndToEnd)
			}
			if res.CPU["gateway"] < 0 || res.Memory.Peak < 1 {
				t.Errorf("cost of the gateway: got %v µs, %+v", res.CPU, res.Memory)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	b := &bench{out: t.TempDir(), conns: 2, events: 10_000}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	err := b.withRelay(t.Context(), nil, func(r *rig) error {
		wrong := *b
		wrong.secret = "not the relay's"
		generator, err := wrong.startGenerator(t.Context(), r.addr())
		if err != nil {
			return err
		}
		r.generator = generator
		res, err := r.run(t.Context(), load{rate: 100, measure: 500 * time.Millisecond})
		if res.Refused["401"] != 50 || res.Delivered != 0 || res.Unfit == "" {
			t.Errorf("50 events with a wrong signature: got %+v", res)
		}
		return errors.Join(err, generator.stop())
	})
	if err != nil {
		t.Fatal(err)
	}
}
