package schedule

import (
	"fmt"
	"strings"
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

// momentForms are the moments' words, and what they are.
var momentForms = [moments]struct{ word, what string }{
	Started:   {"started", "a primary asks for promises"},
	Copied:    {"copied", "a primary has completed its log from another one's"},
	Active:    {"active", "a primary has committed its own first entry"},
	Joint:     {"joint", "a primary has done so by both sets of a move"},
	Quiet:     {"quiet", "a primary sees that it is cut off"},
	Ended:     {"ended", "a primary sees that it is deposed"},
	Installed: {"installed", "a replica has taken a snapshot"},
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
