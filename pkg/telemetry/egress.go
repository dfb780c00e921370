package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Egress holds the metrics of package egress.
type Egress struct {
	Attempts        *prometheus.CounterVec // by outcome
	AttemptSeconds  prometheus.Histogram   // from the start of an attempt to its outcome
	OpenConnections prometheus.Gauge       // to endpoints, idle ones among them
	Connects        prometheus.Counter     // connections opened; against attempts it tells how well they are reused
}

// NewEgress registers the metrics of package egress; outcomes are the values of the label that exist from the start.
func NewEgress(reg prometheus.Registerer, outcomes []string) *Egress {
	m := &Egress{
		Attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_egress_attempts_total", Help: "Attempts to deliver, by outcome.",
		}, []string{"outcome"}),
		AttemptSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_egress_attempt_seconds", Help: "Duration of an attempt, name look-up and connection included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60},
		}),
		OpenConnections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_egress_open_connections", Help: "Connections to endpoints that are open, in use or idle.",
		}),
		Connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_egress_connects_total", Help: "Connections to endpoints that were opened.",
		}),
	}
	for _, outcome := range outcomes {
		m.Attempts.WithLabelValues(outcome)
	}
	reg.MustRegister(m.Attempts, m.AttemptSeconds, m.OpenConnections, m.Connects)
	return m
}
