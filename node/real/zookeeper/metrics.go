package zookeeper

import (
	"time"

	"dkv/node/real/metrics"
)

// Register adds the metrics of the sessions.
func (z *Coordinator) Register(m *metrics.Registry) {
	m.Counter("dkv_zookeeper_sessions_total", "ZooKeeper sessions that were opened.", z.counts.sessions.Load)
	m.Counter("dkv_zookeeper_expired_total", "ZooKeeper sessions that expired.", z.counts.expired.Load)
	m.Counter("dkv_zookeeper_reconnects_total", "Times that a ZooKeeper session reconnected to a server.", z.counts.reconnects.Load)
	m.Counter("dkv_zookeeper_unanswered_total", "Calls to ZooKeeper that were not answered.", z.counts.unknown.Load)
	m.Gauge("dkv_zookeeper_connected", "1 while a ZooKeeper session is connected.", func() float64 {
		if s := z.current.Load(); s != nil && s.state() == "connected" {
			return 1
		}
		return 0
	})
	m.Gauge("dkv_zookeeper_silence_seconds", "Time since ZooKeeper last answered; 0 before its first answer.", func() float64 {
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
