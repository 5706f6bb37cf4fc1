package schedule

import (
	"fmt"
	"strings"
)

// Trigger is an event in a partition for which a step can wait. A fault at a trigger
// strikes between two steps of the protocol, which a fault at a fixed time hardly
// ever does.
type Trigger uint8

// The triggers; AtOnce waits for nothing.
const (
	AtOnce Trigger = iota
	Started
	Copied
	Active
	Joint
	Quiet
	Ended
	Installed

	triggers
)

// triggerForms holds the word of each trigger and the event that it names.
var triggerForms = [triggers]struct{ word, what string }{
	Started:   {"started", "a primary starts an epoch and asks for promises"},
	Copied:    {"copied", "a primary has completed its log from another replica"},
	Active:    {"active", "a primary has committed the no-op of its epoch"},
	Joint:     {"joint", "a primary has committed that no-op by both majorities of a move"},
	Quiet:     {"quiet", "a primary notices that no quorum answers it"},
	Ended:     {"ended", "a primary notices that it has been deposed"},
	Installed: {"installed", "a replica has installed a snapshot"},
}

func (m Trigger) String() string { return triggerForms[m].word }

// parseOnce parses and removes "once TRIGGER:PARTITION" at the end of a line.
func parseOnce(words []string, s *Step, setup *Setup) ([]string, error) {
	n := len(words)
	if n < 2 || words[n-2] != "once" {
		return words, nil
	}
	word, number, _ := strings.Cut(words[n-1], ":")
	for m := AtOnce + 1; m < triggers; m++ {
		if word == triggerForms[m].word {
			partition, err := parsePartition(number, setup)
			s.Once, s.Of = m, partition
			return words[:n-2], err
		}
	}
	return nil, fmt.Errorf("invalid trigger %q (example: active:0)", words[n-1])
}
