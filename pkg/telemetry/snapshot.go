package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ConfigVersion is a version of the configuration.
func ConfigVersion(v int64) zap.Field { return zap.Int64("config_version", v) }

// SavedAt is when a copy was saved.
func SavedAt(t time.Time) zap.Field { return zap.Time("saved_at", t) }

// Snapshot holds the metrics of package snapshot.
type Snapshot struct {
	Polls   *prometheus.CounterVec // by result: ok, error
	Version prometheus.Gauge
	Saves   *prometheus.CounterVec // of the copy on disk, by result: ok, error
}

// NewSnapshot registers the metrics of package snapshot; age says how long ago the store confirmed it.
func NewSnapshot(reg prometheus.Registerer, age func() time.Duration) *Snapshot {
	m := &Snapshot{
		Polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_snapshot_polls_total", Help: "Questions to the store whether the configuration changed, by result.",
		}, []string{"result"}),
		Version: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_snapshot_version", Help: "Version of the configuration that this process works with.",
		}),
		Saves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_snapshot_saves_total", Help: "Writes of the last good copy of the configuration, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{"ok", "error"} {
		m.Polls.WithLabelValues(result)
		m.Saves.WithLabelValues(result)
	}
	reg.MustRegister(m.Polls, m.Version, m.Saves, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_snapshot_age_seconds", Help: "Time since the store confirmed that this process's configuration is current; since its start if it never did.",
	}, func() float64 { return age().Seconds() }))
	return m
}
