package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Control holds the metrics of package control.
type Control struct {
	requests [6]prometheus.Counter // by hundreds of the status
	seconds  prometheus.Histogram
}

// NewControl registers the metrics of package control.
func NewControl(reg prometheus.Registerer) *Control {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_control_requests_total", Help: "Requests to the management API, by class of their status.",
	}, []string{"status"})
	m := &Control{seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sluice_control_request_seconds", Help: "Duration of requests to the management API.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
	})}
	for i, class := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		m.requests[i] = requests.WithLabelValues(class)
	}
	reg.MustRegister(requests, m.seconds)
	return m
}

// Observe counts a request; status 0 means that it ended without an answer.
func (m *Control) Observe(status int, took time.Duration) {
	m.requests[min(max(status/100, 0), 5)].Inc()
	m.seconds.Observe(took.Seconds())
}
