package real

import (
	"github.com/prometheus/client_golang/prometheus"

	"dkv/node"
	"dkv/node/pebblestore"
	"dkv/node/real/metrics"
)

// registerStore adds the metrics of the store.
func registerStore(m *metrics.Registry, store *pebblestore.Store) {
	m.Counter("dkv_store_commits_total", "Batches written to the store.", func() uint64 { return store.Counters().Commits })
	m.Counter("dkv_store_bytes_total", "Bytes written to the store in batches.", func() uint64 { return store.Counters().Bytes })
	m.Counter("dkv_store_stalls_total", "Times that a commit waited for background work of the store.", func() uint64 { return store.Counters().Stalls })
	m.Counter("dkv_wal_syncs_total", "Syncs of the write-ahead log.", func() uint64 { return store.Counters().WALSyncs })
	m.Counter("dkv_wal_bytes_total", "Bytes written to the write-ahead log.", func() uint64 { return store.Counters().WALBytes })
}

// register adds the counts of events and of dropped lines.
func (o *observer) register(m *metrics.Registry) {
	m.Counter("dkv_log_dropped_total", "Log lines dropped because they could not be written fast enough.", o.dropped.Load)
	m.Counter("dkv_copied_bytes_total", "Bytes of keys, values and versions sent to other nodes for partitions that move to them.", o.copied.Load)
	m.Register(eventCollector{o})
}

// eventCollector shows the events of the core by kind.
type eventCollector struct{ observer *observer }

var eventsTotal = prometheus.NewDesc("dkv_events_total",
	"Events inside the node, by kind (see node/event.go).", []string{"kind"}, nil)

// Describe is part of prometheus.Collector.
func (c eventCollector) Describe(descs chan<- *prometheus.Desc) { descs <- eventsTotal }

// Collect is part of prometheus.Collector.
func (c eventCollector) Collect(out chan<- prometheus.Metric) {
	for kind := node.EventKind(1); int(kind) < node.EventKinds; kind++ {
		count := float64(c.observer.counts[kind].Load())
		out <- prometheus.MustNewConstMetric(eventsTotal, prometheus.CounterValue, count, kind.String())
	}
}
