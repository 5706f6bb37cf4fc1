package loop

import (
	"dkv/node/real/metrics"
)

// Register adds the loop's metrics.
func (l *Loop) Register(m *metrics.Registry) {
	m.Counter("dkv_loop_events_total", "Events that the node's loop has run.", l.runs.Load)
	m.Counter("dkv_loop_turns_total", "Turns of the loop: each makes at most one commit.", l.turns.Load)
	m.Gauge("dkv_loop_queue", "Events taken together by the loop's latest turn.", func() float64 { return float64(l.depth.Load()) })
}
