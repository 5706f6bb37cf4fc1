package world

import "dkv/node/door"

// turnTrap is the state of a CrashInTurn: a crash between a turn's commit and its
// last message. Only there can a process have told some peers, but not all, of
// something that its disk is about to lose.
type turnTrap uint8

const (
	noTrap turnTrap = iota
	armed
	sprung // no further message goes out, and the process dies when the turn ends
)

func (h *host) crashInTurn() bool {
	p := h.current
	if p == nil || p.trap != noTrap {
		return false
	}
	p.trap, p.sends = armed, h.trapSends.below(3)
	return true
}

// disarm cancels a crash that has not come.
func (h *host) disarm() {
	if h.current != nil && h.current.trap == armed {
		h.current.trap = noTrap
	}
}

// trapped reports whether the trap holds back the message that is about to go
// out. It counts the messages of turns that have committed something.
func (p *hostProcess) trapped() bool {
	if p.trap == armed && p.committed {
		if p.sends == 0 {
			p.trap = sprung
		}
		p.sends--
	}
	return p.trap == sprung
}

// turnStore is the disk as a process sees it. It notes which turns commit
// something, for the trap.
type turnStore struct {
	door.Store
	process *hostProcess
}

func (s turnStore) Commit(b *door.Batch, done func(error)) {
	s.process.committed = s.process.committed || !b.Empty()
	s.Store.Commit(b, done)
}
