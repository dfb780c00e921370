package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Pools of connections to PostgreSQL.
const (
	PoolDispatch = "dispatch" // what deliveries wait for
	PoolPeople   = "people"   // what people wait for
)

// Postgres holds the metrics of the PostgreSQL store.
type Postgres struct {
	RecordSeconds prometheus.Histogram // one batch of a dispatcher, from its first round trip to its commit
	Repeated      prometheus.Counter   // transactions that began again after a lost race or a failover
}

// NewPostgres registers the metrics of the PostgreSQL store; the pools are asked when it is.
func NewPostgres(reg prometheus.Registerer, dispatch, people func() (used, most int32)) *Postgres {
	m := &Postgres{
		RecordSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_postgres_record_seconds", Help: "Duration of one batch of a dispatcher, its commit included.",
			Buckets: prometheus.ExponentialBuckets(.0005, 3, 10), // 0.5 ms to 10 s
		}),
		Repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_postgres_repeated_total", Help: "Transactions that began again after a lost race or a failover.",
		}),
	}
	reg.MustRegister(m.RecordSeconds, m.Repeated)
	for name, stat := range map[string]func() (used, most int32){PoolDispatch: dispatch, PoolPeople: people} {
		labels := prometheus.Labels{"pool": name}
		reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "sluice_postgres_connections_used", Help: "Connections of a pool that are in use.", ConstLabels: labels,
			}, func() float64 { used, _ := stat(); return float64(used) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "sluice_postgres_connections_max", Help: "Connections that a pool may have.", ConstLabels: labels,
			}, func() float64 { _, most := stat(); return float64(most) }),
		)
	}
	return m
}
