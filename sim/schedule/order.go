package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Order decides in which order steps run that are due at about the same time. The
// zero value runs them in the order in which they were scheduled.
type Order struct {
	Mode OrderMode
	// Depth, for PCT, is the number of orderings that a bug may need to appear:
	// priorities change Depth-1 times in a span. 0 means 1.
	Depth int
	// Span, for PCT, is the number of choices after which all priorities are drawn
	// again. 0 means 1.
	Span int
	// Window is the greatest distance between the due times of steps that may be
	// reordered: no step is late by more. With 0, only steps due at the same
	// instant are.
	Window time.Duration

	// For Steered: the time from which choices count, the choices that do not take
	// the first candidate, and a crash.
	From  time.Duration
	Picks Picks
	Crash CrashPoint
}

// OrderMode names a way to order steps.
type OrderMode string

const (
	// FIFO runs steps by time, and steps due at the same instant in the order in
	// which they were scheduled.
	FIFO OrderMode = "fifo"
	// PCT runs, among the lanes that have a step due within the window, the one
	// with the highest priority (Burckhardt and others, A Randomized Scheduler with
	// Probabilistic Guarantees of Finding Bugs, ASPLOS 2010). With n lanes and k
	// choices in a span, each bug that needs d orderings in that span appears with
	// a probability of at least 1/(n·k^(d-1)).
	PCT OrderMode = "pct"
	// Steered lets given deliveries overtake others and a node crash after a given
	// step. An Enumeration identifies its executions in this way.
	Steered OrderMode = "steered"
)

// maxWindow bounds Order.Window: longer delays belong to a slow machine, which is
// a fault of its own.
const maxWindow = time.Second

// Validate returns an error for the first field that is out of range.
func (o Order) Validate() error {
	switch {
	case o.Mode != "" && o.Mode != FIFO && o.Mode != PCT && o.Mode != Steered:
		return fmt.Errorf("order: Mode is %q; want %s, %s or %s", o.Mode, FIFO, PCT, Steered)
	case o.Window < 0 || o.Window > maxWindow:
		return fmt.Errorf("order: Window is %v; want 0 to %v", o.Window, maxWindow)
	case o.Depth < 0 || o.Span < 0:
		return fmt.Errorf("order: Depth is %d and Span is %d; want 0 or more", o.Depth, o.Span)
	case o.From < 0:
		return fmt.Errorf("order: From is %v; want 0 or more", o.From)
	}
	if _, err := o.Picks.List(); err != nil {
		return fmt.Errorf("order: Picks: %w", err)
	}
	return o.Crash.validate()
}

// Picks lists the choices of a steered run that do not take the first candidate:
// "3:1,9:2" takes the second candidate at choice 3 and the third at choice 9.
// Choices are numbered from 0 in the order of the run.
type Picks string

// maxPicks bounds the length of Picks.
const maxPicks = 64

// With appends a pick at a choice later than those in the list.
func (p Picks) With(choice, candidate int) Picks {
	word := strconv.Itoa(choice) + ":" + strconv.Itoa(candidate)
	if p == "" {
		return Picks(word)
	}
	return p + "," + Picks(word)
}

// Pick is one of Picks: which candidate is taken at which choice.
type Pick struct{ Choice, Candidate int }

// List parses the picks. The error names the first invalid one.
func (p Picks) List() ([]Pick, error) {
	if p == "" {
		return nil, nil
	}
	var list []Pick
	for _, word := range strings.Split(string(p), ",") {
		choice, candidate, found := strings.Cut(word, ":")
		c, err := strconv.Atoi(choice)
		n, err2 := strconv.Atoi(candidate)
		last := len(list) - 1
		switch {
		case !found || err != nil || err2 != nil || c < 0 || n < 1:
			return nil, fmt.Errorf("invalid pick %q (example: 3:1)", word)
		case last >= 0 && c <= list[last].Choice:
			return nil, fmt.Errorf("pick %q is not in order: it must come after choice %d", word, list[last].Choice)
		case len(list) == maxPicks:
			return nil, fmt.Errorf("more than %d picks", maxPicks)
		}
		list = append(list, Pick{c, n})
	}
	return list, nil
}

// CrashPoint is the crash of one host in a steered run, after so many of the
// host's own steps. The zero value means no crash.
type CrashPoint struct {
	Host    int
	Step    int           // from 1; 0: no crash
	Restart time.Duration // from the crash to the next process
}

func (c CrashPoint) validate() error {
	switch {
	case c.Host < 0 || c.Host >= MaxNodes:
		return fmt.Errorf("order: Crash.Host is %d; want 0 to %d", c.Host, MaxNodes-1)
	case c.Step < 0 || c.Step > MaxRunSteps:
		return fmt.Errorf("order: Crash.Step is %d; want 0 to %d", c.Step, MaxRunSteps)
	case c.Restart < 0:
		return fmt.Errorf("order: Crash.Restart is %v; want 0 or more", c.Restart)
	}
	return nil
}

func (c CrashPoint) String() string {
	return fmt.Sprintf("%s:%d:%v", HostName(c.Host), c.Step, c.Restart)
}

// none is the text of an absent value.
const none = "none"

type picksValue Picks

func (v *picksValue) String() string {
	if *v == "" {
		return none
	}
	return string(*v)
}

func (v *picksValue) Set(word string) error {
	if word == none {
		*v = ""
		return nil
	}
	if _, err := Picks(word).List(); err != nil {
		return err
	}
	*v = picksValue(word)
	return nil
}

type crashValue CrashPoint

func (v *crashValue) String() string {
	if v.Step == 0 {
		return none
	}
	return CrashPoint(*v).String()
}

func (v *crashValue) Set(word string) error {
	if word == none {
		*v = crashValue{}
		return nil
	}
	host, rest, _ := strings.Cut(word, ":")
	step, restart, found := strings.Cut(rest, ":")
	c := CrashPoint{}
	number, named := strings.CutPrefix(host, "n")
	if err := (&intValue{&c.Host, 1, MaxNodes}).Set(number); !found || !named || err != nil {
		return fmt.Errorf("invalid crash %q (example: n2:14:50ms)", word)
	}
	c.Host--
	if err := (&intValue{&c.Step, 1, MaxRunSteps}).Set(step); err != nil {
		return err
	}
	if err := (&durationValue{&c.Restart, 0}).Set(restart); err != nil {
		return err
	}
	*v = crashValue(c)
	return nil
}

// Steering describes Picks and Crash as a schedule's header does.
func (o Order) Steering() string {
	return fmt.Sprintf("picks %v, crash %v", (*picksValue)(&o.Picks), (*crashValue)(&o.Crash))
}
