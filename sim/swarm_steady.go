package sim

// drawSteady lets, in a share of the runs, the faults stand still for a while after the
// core has answered: often with links cut inside the core, and with moves.
func (d *swarm) drawSteady() {
	if !d.share(36, "steady") {
		return
	}
	s := &d.setup
	s.Steady.Time = 12 * s.SuspectAfter
	s.Steady.Spare = d.below(s.Nodes-s.Nodes/2, "steady spare")
	if d.share(75, "steady cuts on") {
		s.Steady.Cuts = d.number(1, 6, "steady cuts")
	}
	if d.share(60, "steady moves on") {
		s.Steady.Moves = d.number(1, 3, "steady moves")
	}
}
