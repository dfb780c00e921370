package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Dispatcher holds the metrics of package dispatcher.
type Dispatcher struct {
	Settled       *prometheus.CounterVec   // by how: delivered path, unmatched, duplicate, quarantined
	Queued        *prometheus.CounterVec   // deliveries put into the queue, by reason
	Finished      *prometheus.CounterVec   // deliveries finished, by state
	InFlight      *prometheus.GaugeVec     // attempts that run, by pace
	Open          prometheus.Gauge         // deliveries in memory that their event waits for
	QueueRows     prometheus.Gauge         // rows of the queue in owned shards, at the last count
	OldestAge     prometheus.Gauge         // age of the oldest undelivered event of owned shards
	GatesClosed   prometheus.Gauge         // endpoints whose gate is closed
	ShardsOwned   prometheus.Gauge         // shards this process works off
	EndToEnd      prometheus.Histogram     // accepted to delivered, first attempts and later ones
	RecordRows    prometheus.Histogram     // rows of one recorder batch
	RecordSeconds *prometheus.HistogramVec // one recorder batch, by result
	Gaps          prometheus.Counter       // messages the broker dropped before they were consumed, as ranges
	DataRefused   prometheus.Counter       // rows the store refused for their data
}

// How an event settled.
const (
	SettledDelivered   = "deliveries" // all its deliveries are finished or queued
	SettledUnmatched   = "unmatched"
	SettledDuplicate   = "duplicate"
	SettledQuarantined = "quarantined"
)

// NewDispatcher registers the metrics of package dispatcher.
func NewDispatcher(reg prometheus.Registerer) *Dispatcher {
	m := &Dispatcher{
		Settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_dispatcher_settled_events_total", Help: "Events settled, by how.",
		}, []string{"how"}),
		Queued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_dispatcher_queued_deliveries_total", Help: "Deliveries put into the queue, by reason.",
		}, []string{"reason"}),
		Finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_dispatcher_finished_deliveries_total", Help: "Deliveries finished, by state.",
		}, []string{"state"}),
		InFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_inflight_attempts", Help: "Attempts that run, by pace: slow ones have run for a second.",
		}, []string{"pace"}),
		Open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_open_deliveries", Help: "Deliveries in memory that their event waits for.",
		}),
		QueueRows: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_queue_rows", Help: "Deliveries in the queue of owned shards, at the last count.",
		}),
		OldestAge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_oldest_undelivered_age_seconds",
			Help: "Age of the oldest undelivered event of owned shards; throttled, gated and paused ones count.",
		}),
		GatesClosed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_closed_gates", Help: "Endpoints whose gate is closed.",
		}),
		ShardsOwned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_dispatcher_owned_shards", Help: "Shards of the queue that this process works off.",
		}),
		EndToEnd: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_dispatcher_end_to_end_seconds", Help: "From acceptance of an event to the end of a delivery of it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 86400},
		}),
		RecordRows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_dispatcher_record_batch_rows", Help: "Rows of one recorder batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		RecordSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_dispatcher_record_seconds", Help: "Duration of one recorder batch, by result.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2.5, 10),
		}, []string{"result"}),
		Gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_dispatcher_gaps_total", Help: "Ranges of messages that the broker dropped before they were consumed.",
		}),
		DataRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_dispatcher_refused_rows_total", Help: "Rows that the store refused for their data.",
		}),
	}
	for _, how := range []string{SettledDelivered, SettledUnmatched, SettledDuplicate, SettledQuarantined} {
		m.Settled.WithLabelValues(how)
	}
	for _, pace := range []string{"fast", "slow"} {
		m.InFlight.WithLabelValues(pace)
	}
	for _, result := range []string{"ok", "error"} {
		m.RecordSeconds.WithLabelValues(result)
	}
	reg.MustRegister(m.Settled, m.Queued, m.Finished, m.InFlight, m.Open, m.QueueRows, m.OldestAge, m.GatesClosed, m.ShardsOwned,
		m.EndToEnd, m.RecordRows, m.RecordSeconds, m.Gaps, m.DataRefused)
	return m
}
