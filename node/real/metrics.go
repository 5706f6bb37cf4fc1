package real

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dkv/internal/version"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/pebblestore"
)

// metrics is what /metrics shows. Requests are counted here as they end;
// everything else is counted where it happens and read when asked for.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	invalid  prometheus.Counter
	outcomes [door.RequestDelete + 1][door.Unknown + 1]prometheus.Counter
	latency  [door.RequestDelete + 1]prometheus.Observer
}

var operationNames = [...]string{door.RequestGet: "get", door.RequestPut: "put", door.RequestDelete: "delete"}

func newMetrics(log *slog.Logger) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.invalid = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dkv_requests_invalid_total", Help: "Requests that were refused for their form, before they reached the node."})
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dkv_requests_total", Help: "Requests of clients by operation and outcome."}, []string{"operation", "outcome"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dkv_request_seconds", Help: "Time from a request's arrival to its end.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"operation"})
	m.registry.MustRegister(m.invalid, outcomes, latency, buildInfo())
	for kind := door.RequestGet; kind <= door.RequestDelete; kind++ {
		m.latency[kind] = latency.WithLabelValues(operationNames[kind])
		for outcome := door.Done; outcome <= door.Unknown; outcome++ {
			m.outcomes[kind][outcome] = outcomes.WithLabelValues(operationNames[kind], outcome.String())
		}
	}
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4})
	return m
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

func (m *metrics) request(kind door.RequestKind, outcome door.Outcome, took time.Duration) {
	m.outcomes[kind][outcome].Inc()
	m.latency[kind].Observe(took.Seconds())
}

// counter shows a number that only grows and is counted elsewhere.
func (m *metrics) counter(name, help string, read func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) }))
}

func (m *metrics) gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

func (m *metrics) watchLoop(l *loop) {
	m.counter("dkv_loop_events_total", "Events that the node's loop has run.", l.runs.Load)
	m.counter("dkv_loop_turns_total", "Turns of the loop: each makes at most one commit.", l.turns.Load)
	m.gauge("dkv_loop_queue", "Events taken together by the loop's latest turn.", func() float64 { return float64(l.depth.Load()) })
}

func (m *metrics) watchRequests(a *api) {
	m.gauge("dkv_requests_waiting", "Requests of clients without an answer yet.", func() float64 { return float64(a.requests.Load()) })
}

func (m *metrics) watchNetwork(n *network) {
	c := &n.counts
	m.counter("dkv_peer_frames_sent_total", "Frames written to peers.", c.framesSent.Load)
	m.counter("dkv_peer_bytes_sent_total", "Bytes written to peers.", c.bytesSent.Load)
	m.counter("dkv_peer_frames_received_total", "Frames read from peers.", c.framesReceived.Load)
	m.counter("dkv_peer_bytes_received_total", "Bytes read from peers.", c.bytesReceived.Load)
	m.counter("dkv_peer_frames_dropped_total", "Frames dropped because a peer's queue was full or the peer unreachable.", c.framesDropped.Load)
	m.counter("dkv_peer_frames_refused_total", "Frames that were short, long, unknown or corrupt; each cost its connection.", c.framesRefused.Load)
	m.counter("dkv_peer_hellos_refused_total", "Connections that ended with a refused introduction.", c.hellosRefused.Load)
	m.counter("dkv_peer_connections_total", "Connections to peers that were opened.", c.connected.Load)
	m.counter("dkv_peer_connections_lost_total", "Connections to peers that broke.", c.lost.Load)
	m.counter("dkv_peer_inbound_refused_total", "Connections of peers above the bound.", c.inboundRefused.Load)
}

func (m *metrics) watchZooKeeper(z *zooKeeper) {
	m.counter("dkv_zookeeper_sessions_total", "ZooKeeper sessions that were begun.", z.counts.sessions.Load)
	m.counter("dkv_zookeeper_expired_total", "ZooKeeper sessions that were lost.", z.counts.expired.Load)
	m.counter("dkv_zookeeper_reconnects_total", "Times that a ZooKeeper session found a server again.", z.counts.reconnects.Load)
	m.counter("dkv_zookeeper_unanswered_total", "Calls to ZooKeeper that got no answer.", z.counts.unknown.Load)
	m.gauge("dkv_zookeeper_connected", "1 while a ZooKeeper session is connected.", func() float64 {
		if s := z.current.Load(); s != nil && s.state() == "connected" {
			return 1
		}
		return 0
	})
	m.gauge("dkv_zookeeper_silence_seconds", "Time since ZooKeeper last answered; 0 before it ever did.", func() float64 {
		s := z.current.Load()
		if s == nil {
			return 0
		}
		if at := s.guard.lastAcknowledged(); !at.IsZero() {
			return time.Since(at).Seconds()
		}
		return 0
	})
}

func (m *metrics) watchStore(store *pebblestore.Store) {
	m.counter("dkv_store_commits_total", "Batches written to the store.", func() uint64 { return store.Counters().Commits })
	m.counter("dkv_store_bytes_total", "Bytes of those batches.", func() uint64 { return store.Counters().Bytes })
	m.counter("dkv_store_stalls_total", "Times that a commit had to wait for the store's background work.", func() uint64 { return store.Counters().Stalls })
	m.counter("dkv_wal_syncs_total", "Syncs of the write-ahead log.", func() uint64 { return store.Counters().WALSyncs })
	m.counter("dkv_wal_bytes_total", "Bytes written to the write-ahead log.", func() uint64 { return store.Counters().WALBytes })
}

func (m *metrics) watchObserver(o *observer) {
	m.counter("dkv_log_dropped_total", "Log lines dropped because stderr did not take them.", o.dropped.Load)
	m.registry.MustRegister(eventCollector{o})
}

// eventCollector shows the core's events by kind.
type eventCollector struct{ observer *observer }

var eventsTotal = prometheus.NewDesc("dkv_events_total",
	"What happened inside the node, by kind (package node, event.go).", []string{"kind"}, nil)

func (c eventCollector) Describe(descs chan<- *prometheus.Desc) { descs <- eventsTotal }

func (c eventCollector) Collect(out chan<- prometheus.Metric) {
	for kind := node.EventKind(1); int(kind) < node.EventKinds; kind++ {
		count := float64(c.observer.counts[kind].Load())
		out <- prometheus.MustNewConstMetric(eventsTotal, prometheus.CounterValue, count, kind.String())
	}
}
