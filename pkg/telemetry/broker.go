package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Keys of the log fields of the brokers.
const (
	KeyTopic    = "topic"
	KeyGroup    = "group"
	KeyStream   = "stream"
	KeyPosition = "position"
)

// Topic names a topic of the broker.
func Topic(name string) zap.Field { return zap.String(KeyTopic, name) }

// Group names a consumer group.
func Group(name string) zap.Field { return zap.String(KeyGroup, name) }

// Stream names a stream of a topic.
func Stream(name string) zap.Field { return zap.String(KeyStream, name) }

// Position names a message within its stream.
func Position(p string) zap.Field { return zap.String(KeyPosition, p) }

// What came of a published message, and where a consumed one was read from: labels of Broker's counters.
const (
	PublishOK          = "ok"
	PublishTooLarge    = "too_large"
	PublishAmbiguous   = "ambiguous"
	PublishUnavailable = "unavailable"

	ReadMemory = "memory"
	ReadDisk   = "disk"

	LostGap     = "gap"
	LostDamaged = "damaged"
)

// Broker holds the metrics of a message broker's adapter.
type Broker struct {
	Published     *prometheus.CounterVec // messages, by outcome
	Consumed      *prometheus.CounterVec // messages handed out, by where they were read from
	Lost          *prometheus.CounterVec // messages that can never be handed out, by reason
	BatchMessages prometheus.Histogram   // messages that shared a commit
	CommitSeconds prometheus.Histogram   // one commit
}

// NewBroker registers the metrics of a message broker's adapter.
func NewBroker(reg prometheus.Registerer) *Broker {
	m := &Broker{
		Published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_broker_published_messages_total", Help: "Messages given to the broker, by outcome.",
		}, []string{"outcome"}),
		Consumed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_broker_consumed_messages_total", Help: "Messages handed out, again ones too, by where they were read from.",
		}, []string{"from"}),
		Lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_broker_lost_messages_total", Help: "Messages that can never be handed out, by reason.",
		}, []string{"reason"}),
		BatchMessages: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_broker_batch_messages", Help: "Messages that shared one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		CommitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_broker_commit_seconds", Help: "Duration of one commit of messages.",
			Buckets: prometheus.ExponentialBuckets(.00025, 2.5, 10),
		}),
	}
	for _, outcome := range []string{PublishOK, PublishTooLarge, PublishAmbiguous, PublishUnavailable} {
		m.Published.WithLabelValues(outcome)
	}
	for _, from := range []string{ReadMemory, ReadDisk} {
		m.Consumed.WithLabelValues(from)
	}
	for _, reason := range []string{LostGap, LostDamaged} {
		m.Lost.WithLabelValues(reason)
	}
	reg.MustRegister(m.Published, m.Consumed, m.Lost, m.BatchMessages, m.CommitSeconds)
	return m
}

// ObserveCommit notes a commit of n messages.
func (m *Broker) ObserveCommit(n int, took time.Duration) {
	m.BatchMessages.Observe(float64(n))
	m.CommitSeconds.Observe(took.Seconds())
}
