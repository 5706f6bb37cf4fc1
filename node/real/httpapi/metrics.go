package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dkv/node/door"
	"dkv/node/real/metrics"
)

// requestMetrics counts requests as they end.
type requestMetrics struct {
	invalid  prometheus.Counter
	outcomes [door.RequestDelete + 1][door.Unknown + 1]prometheus.Counter
	latency  [door.RequestDelete + 1]prometheus.Observer
}

var operationNames = [...]string{door.RequestGet: "get", door.RequestPut: "put", door.RequestDelete: "delete"}

func (a *API) register(m *metrics.Registry) {
	a.metrics.invalid = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dkv_requests_invalid_total", Help: "Malformed requests, refused before they reached the node."})
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dkv_requests_total", Help: "Client requests by operation and outcome."}, []string{"operation", "outcome"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dkv_request_seconds", Help: "Time from the arrival of a request to its end.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"operation"})
	m.Register(a.metrics.invalid, outcomes, latency)
	for kind := door.RequestGet; kind <= door.RequestDelete; kind++ {
		a.metrics.latency[kind] = latency.WithLabelValues(operationNames[kind])
		for outcome := door.Done; outcome <= door.Unknown; outcome++ {
			a.metrics.outcomes[kind][outcome] = outcomes.WithLabelValues(operationNames[kind], outcome.String())
		}
	}
	m.Gauge("dkv_requests_waiting", "Client requests that the node has not answered yet.", func() float64 { return float64(a.requests.Load()) })
}

func (m *requestMetrics) ended(kind door.RequestKind, outcome door.Outcome, took time.Duration) {
	m.outcomes[kind][outcome].Inc()
	m.latency[kind].Observe(took.Seconds())
}
