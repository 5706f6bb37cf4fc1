package campaign

import (
	"errors"
	"fmt"

	"dkv/sim"
)

// A Status is how a command ends. As an error it needs no message: everything has
// been printed.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// The statuses that do not stand for a class. FirstClass is that of the first of
// sim.Classes; the others follow it.
const (
	Mistaken   = Status(2)
	TooCalm    = Status(3)
	Unfinished = Status(4)
	FirstClass = Status(11)
)

// statuses lists all of them with their meanings. Batch systems read the numbers,
// so each keeps its meaning.
var statuses = []struct {
	status Status
	means  string
}{
	{0, "everything passed"},
	{Mistaken, "invalid arguments, or a file that cannot be read or written"},
	{TooCalm, "coverage too low: some fault or probe never triggered"},
	{Unfinished, "incomplete: run was stopped by a signal (whatever it found), or merge lacks runs and none failed"},
	{FirstClass + 0, "L: not linearizable"},
	{FirstClass + 1, "D: an acknowledged write was lost"},
	{FirstClass + 2, "R: a refused write took effect"},
	{FirstClass + 3, "I: an invariant was broken"},
	{FirstClass + 4, "A: an assertion failed, or a panic"},
	{FirstClass + 5, "C: replicas did not converge"},
	{FirstClass + 6, "V: no progress"},
	{FirstClass + 7, "B: a leak, or a bound exceeded"},
}

// Statuses lists all of them.
func Statuses() []Status {
	var all []Status
	for _, s := range statuses {
		all = append(all, s.status)
	}
	return all
}

// means returns the meaning of a status, or "" if there is no such status.
func (s Status) means() string {
	for _, known := range statuses {
		if known.status == s {
			return known.means
		}
	}
	return ""
}

// StatusHelp lists the statuses, one a line.
func StatusHelp() string {
	text := ""
	for _, s := range statuses {
		text += fmt.Sprintf("  %2d  %s\n", s.status, s.means)
	}
	return text
}

// StatusOf returns the status of the worst of the classes, or nil if there are
// none.
func StatusOf(fired []sim.Class) error {
	for i, class := range sim.Classes {
		for _, f := range fired {
			if f == class {
				return FirstClass + Status(i)
			}
		}
	}
	return nil
}

func exitOf(err error) Exit {
	status := Status(0)
	if err != nil && !errors.As(err, &status) {
		status = Mistaken
	}
	return Exit{int(status), status.means()}
}
