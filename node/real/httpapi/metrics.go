package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dkv/node"
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
	m.Register(placementCollector{a})
	m.Gauge("dkv_requests_waiting", "Client requests that the node has not answered yet.", func() float64 { return float64(a.requests.Load()) })
}

// placementCollector shows what the node knows about partitions and ZooKeeper, by one
// status for all of it. Sums over the nodes describe the cluster.
type placementCollector struct{ api *API }

var (
	partitionsByRole = prometheus.NewDesc("dkv_partitions",
		"Partitions that this node stores, by its role in them. The sum of role primary over all nodes is the number of partitions that are served.", []string{"role"}, nil)
	partitionsInAll = prometheus.NewDesc("dkv_cluster_partitions",
		"Partitions of the cluster; 0 before it forms.", nil, nil)
	underReplicated = prometheus.NewDesc("dkv_partitions_under_replicated",
		"Partitions led here of which a replica does not answer or lacks more than a moment's writes.", nil, nil)
	partitionsMoving = prometheus.NewDesc("dkv_partitions_moving",
		"Partitions led here that are between two sets of replicas.", nil, nil)
	movesLeft = prometheus.NewDesc("dkv_moves_left",
		"Replicas, in the whole cluster, that the ring means for members which do not have them.", nil, nil)
	zooKeeperFault = prometheus.NewDesc("dkv_zookeeper_fault",
		"1 for what is wrong with ZooKeeper as this node sees it. While any is 1, what this node leads may find no other primary.", []string{"kind"}, nil)
)

var roles = []string{"primary", "starting", "quiet", "replica", "learner", "outside"}

// Describe is part of prometheus.Collector.
func (c placementCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{partitionsByRole, partitionsInAll, underReplicated, partitionsMoving, movesLeft, zooKeeperFault} {
		descs <- d
	}
}

// Collect is part of prometheus.Collector. A node that does not answer shows nothing.
func (c placementCollector) Collect(out chan<- prometheus.Metric) {
	s := c.api.node.Status(false)
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	count := map[string]int{}
	under, moving, all := 0, 0, 0
	for i := range s.Partitions {
		p := &s.Partitions[i]
		count[p.Role]++
		if p.Role != "primary" {
			continue
		}
		if len(p.Behind) > 0 || len(p.Assignment.Replicas) < s.Layout.Replication() {
			under++
		}
		if len(p.Assignment.Next) > 0 {
			moving++
		}
	}
	if s.Layout != nil {
		all = s.Layout.Q()
	}
	for _, role := range roles {
		gauge(partitionsByRole, count[role], role)
	}
	gauge(partitionsInAll, all)
	gauge(underReplicated, under)
	gauge(partitionsMoving, moving)
	gauge(movesLeft, s.Moves.Left)
	for _, kind := range node.FaultKinds {
		value := 0
		if kind == s.Fault.Kind {
			value = 1
		}
		gauge(zooKeeperFault, value, string(kind))
	}
}

func (m *requestMetrics) ended(kind door.RequestKind, outcome door.Outcome, took time.Duration) {
	m.outcomes[kind][outcome].Inc()
	m.latency[kind].Observe(took.Seconds())
}
