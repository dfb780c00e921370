package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Migration names a step of the store's schema.
func Migration(version int64, name string) zap.Field {
	return zap.Dict("migration", zap.Int64("version", version), zap.String("name", name))
}

// Results of a job of the store's writer.
const (
	StoreOK     = "ok"
	StoreData   = "data"   // refused for its data, or because of what is stored: no such row, a name that is taken
	StoreOutage = "outage" // disk full, I/O, locked
)

// Store holds the metrics of the embedded store.
type Store struct {
	Jobs              *prometheus.CounterVec // of the writer, by result
	GroupJobs         prometheus.Histogram   // jobs that share one transaction
	CommitSeconds     prometheus.Histogram   // one transaction, its fsync included
	WaitingJobs       prometheus.GaugeFunc   // handed to the writer and not begun
	PendingClaims     prometheus.GaugeFunc   // not written yet
	CheckpointSeconds prometheus.Histogram   // one move of the log into the database
	LogPages          prometheus.Gauge       // in the log after the last checkpoint, not moved
}

// NewStore registers the metrics of the embedded store; waiting and claims count when asked.
func NewStore(reg prometheus.Registerer, waiting, claims func() int) *Store {
	durations := prometheus.ExponentialBuckets(.0001, 3, 10) // 0.1 ms to 2 s
	m := &Store{
		Jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_store_jobs_total", Help: "Writes to the embedded store, by result.",
		}, []string{"result"}),
		GroupJobs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_store_group_jobs", Help: "Writes that share one transaction of the embedded store.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
		CommitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_store_commit_seconds", Help: "Duration of one transaction of the embedded store, its fsync included.", Buckets: durations,
		}),
		WaitingJobs: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_store_waiting_jobs", Help: "Writes that wait for the embedded store's writer.",
		}, func() float64 { return float64(waiting()) }),
		PendingClaims: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_store_pending_claims", Help: "Claims that the next transaction of the embedded store writes.",
		}, func() float64 { return float64(claims()) }),
		CheckpointSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_store_checkpoint_seconds", Help: "Duration of one checkpoint of the embedded store's log.", Buckets: durations,
		}),
		LogPages: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_store_log_pages", Help: "Pages of the embedded store's log that the last checkpoint left.",
		}),
	}
	for _, result := range []string{StoreOK, StoreData, StoreOutage} {
		m.Jobs.WithLabelValues(result)
	}
	reg.MustRegister(m.Jobs, m.GroupJobs, m.CommitSeconds, m.WaitingJobs, m.PendingClaims, m.CheckpointSeconds, m.LogPages)
	return m
}
