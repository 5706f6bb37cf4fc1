package loop

import (
	"dkv/node/real/metrics"
)

// Register adds the loop's metrics.
func (l *Loop) Register(m *metrics.Registry) {
	m.Counter("dkv_loop_events_total", "Events that the loop has run.", l.runs.Load)
	m.Counter("dkv_loop_turns_total", "Turns of the loop; each makes at most one commit.", l.turns.Load)
	m.Gauge("dkv_loop_queue", "Events that the loop took from its queue at once, most recently.", func() float64 { return float64(l.depth.Load()) })
}
