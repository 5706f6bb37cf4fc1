package world

import "dkv/node/door"

// turnTrap is a crash that waits for the inside of a turn: after its commit,
// before its last message.
type turnTrap uint8

const (
	noTrap turnTrap = iota
	armed
	sprung // the turn under way is the process's last, and no message goes out
)

func (h *host) crashInTurn() bool {
	l := h.life
	if l == nil || l.trap != noTrap {
		return false
	}
	l.trap, l.sends = armed, h.trapSends.below(3)
	return true
}

// disarm takes a crash back that has not come.
func (h *host) disarm() {
	if h.life != nil && h.life.trap == armed {
		h.life.trap = noTrap
	}
}

// trapped says whether the message that is about to go out does not.
func (l *life) trapped() bool {
	if l.trap == armed && l.committed {
		if l.sends == 0 {
			l.trap = sprung
		}
		l.sends--
	}
	return l.trap == sprung
}

// turnStore is the disk as a process sees it, that of its turns which commit.
type turnStore struct {
	door.Store
	life *life
}

func (s turnStore) Commit(b *door.Batch, done func(error)) {
	s.life.committed = s.life.committed || !b.Empty()
	s.Store.Commit(b, done)
}
