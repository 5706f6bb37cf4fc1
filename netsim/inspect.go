package netsim

// A LinkState is a snapshot of one direction between two hosts.
type LinkState struct {
	From, To string
	Frames   int     // in flight
	Bytes    int     // in them
	Held     int     // frames that arrived and are held by a clog
	Faults   []Cause // in force, oldest first
}

// Links returns the links on which something is in flight or a fault is in force, sorted by
// the numbers of their hosts. It has no side effects.
func (n *Network) Links() []LinkState {
	var all []LinkState
	for _, h := range n.hosts {
		for _, l := range h.out {
			if l == nil || l.frames == 0 && len(l.held) == 0 && len(l.faults) == 0 {
				continue
			}
			state := LinkState{From: l.from.name, To: l.to.name, Frames: l.frames, Bytes: l.bytes, Held: len(l.held)}
			for _, f := range l.faults {
				state.Faults = append(state.Faults, f.cause)
			}
			all = append(all, state)
		}
	}
	return all
}
