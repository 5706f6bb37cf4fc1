package world

import "dkv/sim/schedule"

// Trail records the choices that a steered run had.
type Trail struct {
	// Choices holds, for each choice, the hosts that receive its candidates.
	Choices [][]int
	// Steps counts the steps of each host from Order.From on.
	Steps []int
}

// steering makes a run follow Order.Picks and Order.Crash. It counts choices and
// steps from Order.From on, so that a search can enumerate them.
type steering struct {
	world   *World
	order   schedule.Order
	picks   []schedule.Pick // not made yet, in order
	next    int             // number of the next choice
	steps   []int           // by host
	due     bool            // crash before the next step
	trail   *Trail
	network []int // indexes of the candidates that are deliveries
}

// newSteered makes an ordering that follows o. It panics if o has invalid picks,
// which Order.Validate refuses.
func newSteered(w *World, o schedule.Order, t *Trail) *ordering {
	picks, err := o.Picks.List()
	if err != nil {
		panic("world: " + err.Error())
	}
	if t == nil {
		t = &Trail{}
	}
	s := &steering{world: w, order: o, picks: picks, steps: make([]int, len(w.hosts)), trail: t}
	t.Steps = s.steps
	return &ordering{
		window: o.Window, choose: s.choose, before: s.crash, onTake: s.count,
		overtook: func() { w.Count(faultOrder) },
	}
}

// choose lets a delivery overtake earlier deliveries where the picks say so. Another
// step is overtaken only by a delivery that was picked over an earlier delivery.
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
	s.trail.Choices = append(s.trail.Choices, receivers)
	choice := s.next
	s.next++
	if len(s.picks) == 0 || s.picks[0].Choice != choice {
		return 0
	}
	chosen := min(s.picks[0].Candidate, len(s.network)-1)
	s.picks = s.picks[1:]
	return s.network[chosen]
}

// count counts the steps of each host, including deliveries to it.
func (s *steering) count(at *slot) {
	host := int(at.host)
	if at.kind == kindNetwork {
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
