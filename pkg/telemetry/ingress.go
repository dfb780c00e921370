package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Ingress holds the metrics of package ingress.
type Ingress struct {
	Requests       *prometheus.CounterVec // by provider and outcome
	Seconds        prometheus.Histogram   // from a request's headers to its answer
	PublishSeconds prometheus.Histogram   // one call of the broker's publisher
	BodyBytes      prometheus.Counter     // of bodies that were read whole
	InFlight       prometheus.Gauge       // requests between headers and answer
	RefusedConns   prometheus.Counter     // connections closed because their address has too many
}

// IngressOutcome is what came of a request to ingress.
type IngressOutcome uint8

// The outcomes of requests to ingress.
const (
	IngressAccepted      IngressOutcome = iota // its events are durable
	IngressChallenge                           // answered, and no event
	IngressInvalid                             // signature, token or key is not right
	IngressUnknown                             // no such source or route
	IngressMethod                              // a method that is not served there
	IngressTooLarge                            // over max_body, or over what the broker takes
	IngressMalformed                           // not a request, or not an event
	IngressSlow                                // the body came too slowly
	IngressBusy                                // no memory for its body, or too many at once
	IngressUnavailable                         // the broker refused
	IngressAmbiguous                           // the broker did not say in time
	IngressMisconfigured                       // the source cannot be verified, or the configuration is not there yet
	IngressFailed                              // a fault of ours

	ingressOutcomes
)

var ingressOutcomeNames = [ingressOutcomes]string{
	"accepted", "challenge", "invalid", "unknown", "method", "too_large", "malformed", "slow",
	"busy", "unavailable", "ambiguous", "misconfigured", "failed",
}

// String returns the label value.
func (o IngressOutcome) String() string { return ingressOutcomeNames[o] }

// Values of label provider besides the names of presets.
const (
	ProviderAPI  = "api"  // POST /v1/events
	ProviderNone = "none" // no source was found, or its preset is not known
)

// RequestCounters are the counters of one provider, by outcome: looked up once, not per request.
type RequestCounters [ingressOutcomes]prometheus.Counter

// Of returns the counters of a provider that NewIngress was told of.
func (m *Ingress) Of(provider string) (c RequestCounters) {
	for o := range c {
		c[o] = m.Requests.WithLabelValues(provider, ingressOutcomeNames[o])
	}
	return c
}

// NewIngress registers the metrics of package ingress; providers are the names of all presets.
func NewIngress(reg prometheus.Registerer, providers []string) *Ingress {
	m := &Ingress{
		Requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_ingress_requests_total", Help: "Requests by provider and outcome.",
		}, []string{"provider", "outcome"}),
		Seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_ingress_request_seconds", Help: "From a request's headers to its answer, whatever it is.",
			Buckets: prometheus.ExponentialBuckets(.00025, 2.5, 12),
		}),
		PublishSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_ingress_publish_seconds", Help: "Until the broker said that events are durable, or failed to.",
			Buckets: prometheus.ExponentialBuckets(.00025, 2.5, 12),
		}),
		BodyBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ingress_body_bytes_total", Help: "Bytes of request bodies that were read whole.",
		}),
		InFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_ingress_inflight_requests", Help: "Requests between headers and answer.",
		}),
		RefusedConns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ingress_refused_connections_total", Help: "Connections closed because their address had too many open.",
		}),
	}
	for _, provider := range append([]string{ProviderAPI, ProviderNone}, providers...) {
		m.Of(provider)
	}
	reg.MustRegister(m.Requests, m.Seconds, m.PublishSeconds, m.BodyBytes, m.InFlight, m.RefusedConns)
	return m
}
