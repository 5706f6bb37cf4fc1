package sim

import (
	"fmt"
	"slices"
	"time"

	"dkv/node"
	"dkv/sim/world"
)

// Tally is what a campaign has added up, as data: it can be written down, read
// again by the same build, and added to what other runs of it gave. Tallies add
// up to the tables that one campaign over all their runs would have.
type Tally struct {
	Runs    int           `json:"runs"`
	Failed  int           `json:"failed"`
	ByClass map[Class]int `json:"failed_by_class"` // runs in which the class fired
	Events  uint64        `json:"events"`
	Virtual time.Duration `json:"virtual_ns"` // summed over runs
	Core    time.Duration `json:"core_ns"`    // time on a core, summed over runs
	Raw     bool          `json:"pebble_raw"` // on disks with Pebble's own files
	Faults  []Reach       `json:"faults"`     // by the times they took effect
	Probes  []Reach       `json:"probes"`     // by the times they were hit
	Bounds  []Use         `json:"bounds"`     // of class B, in the run that came nearest to each

	Operations Operations `json:"operations"`
	// Runs by their changes of primary, and by their nodes: the third number
	// counts those with two.
	PrimaryChanges []int `json:"runs_by_primary_changes"`
	Nodes          []int `json:"runs_by_nodes"`
	// Turns by their events: one, two to three, four to seven and so on.
	Turns world.TurnSizes `json:"turns_by_events"`
}

// Reach is how often something was reached.
type Reach struct {
	Name string `json:"name"`
	// Drawn: seeds of the default profile should reach it, and a whole campaign
	// of them fails on a zero.
	Drawn bool   `json:"drawn"`
	Times uint64 `json:"times"`
	Runs  int    `json:"runs"` // in which it was reached
}

// Operations are those that clients called under faults, and how they ended.
type Operations struct {
	Called  int `json:"called"`
	Done    int `json:"done"`
	Refused int `json:"refused"`
	Unknown int `json:"unknown"`
	Fewest  int `json:"fewest_of_a_run"` // of all phases; 0 without runs
}

// ownProbes stand among the probes though no node observes them.
var ownProbes = [...]struct {
	name string
	of   func(*Result) uint64
}{
	{"unknown-write-seen-later", func(r *Result) uint64 { return r.UnknownSeen }},
	{"installed-snapshot-compared", func(r *Result) uint64 { return r.Compared }},
}

// observedKinds are the events that nodes observe, probes among them.
func observedKinds() []node.EventKind {
	var kinds []node.EventKind
	for k := range node.EventKinds - 1 { // there is no kind 0
		kinds = append(kinds, node.EventKind(k+1))
	}
	return kinds
}

// Tally is the sum so far.
func (c *Campaign) Tally() Tally {
	t := Tally{
		Runs: c.runs, Failed: c.failed, ByClass: make(map[Class]int), Events: c.events,
		Virtual: c.virtual, Core: c.wall, Raw: c.raw,
		Operations:     Operations{c.called, c.done, c.refused, c.unknown, max(0, c.fewest)},
		PrimaryChanges: slices.Clone(c.changes), Nodes: slices.Clone(c.nodes[:]),
		Turns: c.turns, Bounds: slices.Clone(c.uses[:]),
	}
	for i, class := range Classes {
		t.ByClass[class] = c.byClass[i]
	}
	for i, k := range c.counters {
		t.Faults = append(t.Faults, Reach{k.Name, slices.Contains(c.drawn(), k.Name), k.Count, c.inRuns[i]})
	}
	kinds := probeKinds()
	for _, k := range observedKinds() {
		t.Probes = append(t.Probes, Reach{k.String(), slices.Contains(kinds, k), c.probes[k], c.probedIn[k]})
	}
	for i, p := range ownProbes {
		t.Probes = append(t.Probes, Reach{p.name, true, c.own[i], c.ownIn[i]})
	}
	return t
}

// AddTally takes what other runs gave into account. A tally that contradicts
// itself, or counts what this build does not know, is an error and changes
// nothing.
func (c *Campaign) AddTally(t Tally) error {
	if err := c.fits(t); err != nil {
		return err
	}
	if t.Runs == 0 {
		return nil
	}
	c.runs += t.Runs
	c.failed += t.Failed
	for i, class := range Classes {
		c.byClass[i] += t.ByClass[class]
	}
	c.events += t.Events
	c.virtual += t.Virtual
	c.wall += t.Core
	c.raw = c.raw || t.Raw
	c.addReached(t)
	c.called += t.Operations.Called
	c.done += t.Operations.Done
	c.refused += t.Operations.Refused
	c.unknown += t.Operations.Unknown
	if c.fewest < 0 || t.Operations.Fewest < c.fewest {
		c.fewest = t.Operations.Fewest
	}
	for changes, runs := range t.PrimaryChanges {
		c.addChanges(changes, runs)
	}
	for n, runs := range t.Nodes {
		c.nodes[n] += runs
	}
	c.turns.Add(&t.Turns)
	return nil
}

func (c *Campaign) addReached(t Tally) {
	if c.counters == nil {
		c.counters = make([]world.Counter, len(t.Faults))
		c.inRuns = make([]int, len(t.Faults))
	}
	for i, f := range t.Faults {
		c.counters[i].Name = f.Name
		c.counters[i].Count += f.Times
		c.inRuns[i] += f.Runs
	}
	kinds := observedKinds()
	for i, k := range kinds {
		c.probes[k] += t.Probes[i].Times
		c.probedIn[k] += t.Probes[i].Runs
	}
	for i, p := range t.Probes[len(kinds):] {
		c.own[i] += p.Times
		c.ownIn[i] += p.Runs
	}
	for b, use := range t.Bounds {
		c.uses.add(bound(b), use)
	}
}

// maxPrimaryChanges is far above what any run has.
const maxPrimaryChanges = 1 << 20

// fits says why a tally cannot be added.
func (c *Campaign) fits(t Tally) error {
	known := NewCampaign(c.Profile).Tally()
	for class := range t.ByClass { // order-free: any unknown one refuses
		if !slices.Contains(Classes, class) {
			return fmt.Errorf("there is no class %q", class)
		}
	}
	if !slices.EqualFunc(t.Probes, known.Probes, sameName) {
		return fmt.Errorf("its probes are not those of this build")
	}
	if c.counters != nil && t.Runs > 0 && !slices.EqualFunc(t.Faults, c.Tally().Faults, sameName) {
		return fmt.Errorf("its faults are not those of the other runs")
	}
	if !slices.EqualFunc(t.Bounds, known.Bounds, func(a, b Use) bool { return a.Name == b.Name }) {
		return fmt.Errorf("its bounds are not those of this build")
	}
	if len(t.Nodes) != len(known.Nodes) || len(t.PrimaryChanges) > maxPrimaryChanges {
		return fmt.Errorf("its tables are not of this build")
	}
	if sum(t.Nodes) != t.Runs || sum(t.PrimaryChanges) != t.Runs || t.Failed > t.Runs || t.Runs < 0 {
		return fmt.Errorf("it counts %d runs, but %d by nodes and %d by changes of primary", t.Runs, sum(t.Nodes), sum(t.PrimaryChanges))
	}
	return nil
}

func sameName(a, b Reach) bool { return a.Name == b.Name }

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}
