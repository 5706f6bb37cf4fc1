package metrics

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dkv/internal/version"
)

// maxInFlight limits the requests for the page that are served at the same
// time.
const maxInFlight = 4

// A Registry holds the metrics of one node.
type Registry struct{ registry *prometheus.Registry }

// New returns a Registry with the metrics of the Go runtime, of the process and
// of the build.
func New() *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.Register(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return r
}

// buildInfo is always 1; its labels tell which build is running.
func buildInfo() prometheus.Gauge {
	build := version.Read()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dkv_build_info", Help: "1, with the build that is running in the labels.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "commit": build.Revision(), "go": build.Go,
			"protocol": strconv.Itoa(int(build.Protocol)), "store_format": strconv.FormatUint(build.StoreFormat, 10)}})
	info.Set(1)
	return info
}

// Register adds collectors. It panics if a name is taken.
func (r *Registry) Register(collectors ...prometheus.Collector) {
	r.registry.MustRegister(collectors...)
}

// Counter adds a number that only grows; read returns its current value.
func (r *Registry) Counter(name, help string, read func() uint64) {
	r.Register(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) }))
}

// Gauge adds a number that rises and falls; read returns its current value.
func (r *Registry) Gauge(name, help string, read func() float64) {
	r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Handler serves the metrics in Prometheus' format and logs what goes wrong.
func (r *Registry) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxInFlight})
}
