package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Picks names the choices of a steered run in which not the first candidate was
// taken: "3:1,9:2" takes the second one at the choice of number 3, the third at
// that of number 9. Choices are numbered from 0 in the order of the run.
type Picks string

// maxPicks bounds how many choices differ.
const maxPicks = 64

// with adds a pick at a choice after all that are there.
func (p Picks) with(choice, candidate int) Picks {
	word := strconv.Itoa(choice) + ":" + strconv.Itoa(candidate)
	if p == "" {
		return Picks(word)
	}
	return p + "," + Picks(word)
}

// pick is one of Picks, taken apart.
type pick struct{ choice, candidate int }

func (p Picks) list() ([]pick, error) {
	if p == "" {
		return nil, nil
	}
	var list []pick
	for _, word := range strings.Split(string(p), ",") {
		choice, candidate, found := strings.Cut(word, ":")
		c, err := strconv.Atoi(choice)
		n, err2 := strconv.Atoi(candidate)
		last := len(list) - 1
		switch {
		case !found || err != nil || err2 != nil || c < 0 || n < 1:
			return nil, fmt.Errorf("%q is no pick, such as 3:1", word)
		case last >= 0 && c <= list[last].choice:
			return nil, fmt.Errorf("pick %q does not come after %d:%d", word, list[last].choice, list[last].candidate)
		case len(list) == maxPicks:
			return nil, fmt.Errorf("more than %d picks", maxPicks)
		}
		list = append(list, pick{c, n})
	}
	return list, nil
}

// CrashPoint is a crash of a steered run: of one host, after so many of its own
// steps. The zero value is none.
type CrashPoint struct {
	Host    int
	Step    int           // from 1; 0: no crash
	Restart time.Duration // from the crash to the next process
}

func (c CrashPoint) String() string {
	return fmt.Sprintf("%s:%d:%v", HostName(c.Host), c.Step, c.Restart)
}

// none stands for a value that is not there.
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
	if _, err := Picks(word).list(); err != nil {
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
	if err := (&intValue{&c.Host, 1, maxNodes}).Set(number); !found || !named || err != nil {
		return fmt.Errorf("%q is no crash, such as n2:14:50ms", word)
	}
	c.Host--
	if err := (&intValue{&c.Step, 1, maxRunSteps}).Set(step); err != nil {
		return err
	}
	if err := (&durationValue{&c.Restart, 0}).Set(restart); err != nil {
		return err
	}
	*v = crashValue(c)
	return nil
}

// trail is what a steered run had to choose from.
type trail struct {
	// choices hold, of each choice, the hosts for which its candidates are.
	choices [][]int
	steps   []int // of each host, from Order.From on
}

// steering plays Order.Picks and Order.Crash.
type steering struct {
	world *World
	order Order
	picks []pick
	next  int // choice
	steps []int
	due   bool // the crash is, before the next step
	trail *trail
	// network are the candidates that are deliveries, by their places.
	network []int
}

// newSteered cannot fail: the parser has judged the picks.
func newSteered(w *World, o Order, t *trail) *ordering {
	picks, err := o.Picks.list()
	if err != nil {
		panic("sim: " + err.Error())
	}
	if t == nil {
		t = &trail{}
	}
	s := &steering{world: w, order: o, picks: picks, steps: make([]int, len(w.hosts)), trail: t}
	t.steps = s.steps
	return &ordering{
		window: o.Window, choose: s.choose, before: s.crash, onTake: s.count,
		overtook: func() { w.count(faultOrder) },
	}
}

// choose lets a delivery overtake others that are due before it, where the
// picks say so. A step that is no delivery is never overtaken but by one that
// was picked over an earlier delivery.
func (s *steering) choose(candidates []entry, lanes []lane) int {
	s.network = s.network[:0]
	for i, l := range lanes {
		if l >= laneNetwork {
			s.network = append(s.network, i)
		}
	}
	if lanes[0] < laneNetwork || len(s.network) < 2 || max(s.world.Now(), candidates[0].at) < s.order.From {
		return 0
	}
	receivers := make([]int, len(s.network))
	for i, k := range s.network {
		receivers[i] = linkReceiver(s.world.scheduler.slots[candidates[k].slot].link)
	}
	s.trail.choices = append(s.trail.choices, receivers)
	choice := s.next
	s.next++
	if len(s.picks) == 0 || s.picks[0].choice != choice {
		return 0
	}
	chosen := min(s.picks[0].candidate, len(s.network)-1)
	s.picks = s.picks[1:]
	return s.network[chosen]
}

// count counts the steps of hosts, deliveries to them included.
func (s *steering) count(at *slot) {
	host := int(at.host)
	if at.kind == KindNetwork {
		host = linkReceiver(at.link)
	}
	if host == NoHost || s.world.Now() < s.order.From {
		return
	}
	s.steps[host]++
	c := s.order.Crash
	s.due = s.due || host == c.Host && s.steps[host] == c.Step
}

func (s *steering) crash() {
	if !s.due {
		return
	}
	s.due = false
	host := s.order.Crash.Host
	if s.world.Crash(host) {
		s.world.After(s.order.Crash.Restart, func() { s.world.Start(host) })
	}
}
