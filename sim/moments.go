package sim

import (
	"fmt"
	"strings"

	"dkv/node"
)

// Moment is a turn in the life of a partition's primaries that a step can wait
// for. A fault that comes there meets a protocol between two of its own steps,
// where one that comes by the clock hardly ever is.
type Moment uint8

// AtOnce waits for nothing; for the others see momentForms.
const (
	AtOnce Moment = iota
	Started
	Copied
	Active
	Joint
	Quiet
	Ended
	Installed

	moments
)

// momentForms are the moments' words, what they are, and the events that tell of
// them.
var momentForms = [moments]struct {
	word, what string
	kind       node.EventKind
}{
	Started:   {"started", "a primary asks for promises", node.EventReignStarted},
	Copied:    {"copied", "a primary has completed its log from another one's", node.EventLogCopied},
	Active:    {"active", "a primary has committed its own first entry", node.EventReignActive},
	Joint:     {"joint", "a primary has done so by both sets of a move", node.EventJointActive},
	Quiet:     {"quiet", "a primary sees that it is cut off", node.EventQuiet},
	Ended:     {"ended", "a primary sees that it is deposed", node.EventReignEnded},
	Installed: {"installed", "a replica has taken a snapshot", node.EventSnapshotInstalled},
}

func (m Moment) String() string { return momentForms[m].word }

// parseOnce takes "once MOMENT:PARTITION" off the end of a line.
func parseOnce(words []string, s *Step, setup *Setup) ([]string, error) {
	n := len(words)
	if n < 2 || words[n-2] != "once" {
		return words, nil
	}
	word, number, _ := strings.Cut(words[n-1], ":")
	for m := AtOnce + 1; m < moments; m++ {
		if word == momentForms[m].word {
			partition, err := parsePartition(number, setup)
			s.Once, s.Of = m, partition
			return words[:n-2], err
		}
	}
	return nil, fmt.Errorf("%q is no moment, such as active:0", words[n-1])
}

// await keeps a step until its moment.
func (f *faultPlayer) await(s *Step) {
	f.note("waits: %v", s)
	f.waiting = append(f.waiting, s)
}

// onEvent lets the steps go that waited for what a host's node tells. They come
// after the event in which it does.
func (f *faultPlayer) onEvent(host int, ev *node.Event) {
	if ev.Kind == node.EventReignStarted {
		if last := &f.starters[ev.Partition]; last[0] != host {
			last[0], last[1] = host, last[0]
		}
	}
	if len(f.waiting) == 0 || f.over {
		return
	}
	left := f.waiting[:0]
	for _, s := range f.waiting {
		if momentForms[s.Once].kind != ev.Kind || s.Of != ev.Partition {
			left = append(left, s)
			continue
		}
		f.world.After(0, func() {
			if !f.over {
				f.world.count(faultMoment)
				f.aim(s)
			}
		})
	}
	f.waiting = left
}
