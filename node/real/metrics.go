package real

import (
	"github.com/prometheus/client_golang/prometheus"

	"dkv/node"
	"dkv/node/pebblestore"
	"dkv/node/real/metrics"
)

func registerStore(m *metrics.Registry, store *pebblestore.Store) {
	m.Counter("dkv_store_commits_total", "Batches written to the store.", func() uint64 { return store.Counters().Commits })
	m.Counter("dkv_store_bytes_total", "Bytes of those batches.", func() uint64 { return store.Counters().Bytes })
	m.Counter("dkv_store_stalls_total", "Times that a commit had to wait for the store's background work.", func() uint64 { return store.Counters().Stalls })
	m.Counter("dkv_wal_syncs_total", "Syncs of the write-ahead log.", func() uint64 { return store.Counters().WALSyncs })
	m.Counter("dkv_wal_bytes_total", "Bytes written to the write-ahead log.", func() uint64 { return store.Counters().WALBytes })
}

func (o *observer) Register(m *metrics.Registry) {
	m.Counter("dkv_log_dropped_total", "Log lines dropped because stderr did not take them.", o.dropped.Load)
	m.Register(eventCollector{o})
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
