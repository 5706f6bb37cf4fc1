package schedule

import (
	"slices"
	"time"
)

// An Action is what a step does: it begins a fault, ends one, changes the layout,
// or sends a client's request. Each action is one row of a table: its word and
// arguments in a schedule's text, its effect, the nodes that it takes away from the
// cluster, and the counters that show that it took effect. The rows are in
// fault_process.go, fault_disk.go, fault_network.go, fault_zookeeper.go,
// fault_members.go and action.go; package sim has the function that carries out each
// of them.
type Action struct {
	// Word is the action's name in a schedule's text. Two actions may share a word
	// if their arguments tell them apart.
	Word string
	// Lasts reports whether the action begins something that ends after "for TIME",
	// or with the phase.
	Lasts bool
	// Does describes the effect in one line.
	Does string
	// Only, if not empty, is the only store on which the action is possible.
	Only Store
	// Counters names the counters that show that the action took effect. A long
	// campaign of the default profile fails if one of them stays zero; for an action
	// with Only, this holds for a campaign on that store.
	Counters []string

	Family    Family
	arguments *arguments
	// stops reports whether the step stops the process of its first target, or is
	// bound to stop it later; nil: never.
	stops func(*Step, *Setup) bool
	// cuts lists the links on which the step stops all frames; nil: none.
	cuts func(hosts []int, nodes int) [][2]int
}

// Family groups the actions.
type Family string

// The families, in the order in which the reference lists them.
const (
	FamilyProcess       Family = "process"
	FamilyDisk          Family = "disk"
	FamilyNetwork       Family = "network"
	FamilyZooKeeper     Family = "ZooKeeper"
	FamilyAdministrator Family = "administrator"
	FamilyClient        Family = "client"
)

// actions is the table, in the order in which the rows were declared.
var actions []*Action

// action adds a row to the table. Every row is a package variable, so the table
// is complete before any function of the package runs.
func action(family Family, args *arguments, a Action) *Action {
	a.Family, a.arguments = family, args
	actions = append(actions, &a)
	return &a
}

// taking completes a row with what the action takes away from the cluster, which
// the budget judges.
func (a *Action) taking(stops func(*Step, *Setup) bool, cuts func(hosts []int, nodes int) [][2]int) *Action {
	a.stops, a.cuts = stops, cuts
	return a
}

// Actions returns all rows of the table.
func Actions() []*Action { return slices.Clone(actions) }

func (a *Action) String() string { return a.Word }

// usage returns the grammar of a step's line after its time.
func (a *Action) usage() string {
	words := a.Word
	if a.arguments.words != "" {
		words += " " + a.arguments.words
	}
	if a.Lasts {
		words += " [for TIME]"
	}
	return words
}

// The administrator's actions: changes of the layout from outside the cluster.
var (
	Move = action(FamilyAdministrator, partitionAndNodes, Action{Word: "move", Counters: []string{"move"},
		Does: "an administrator starts moving the partition to these nodes"})
	Cancel = action(FamilyAdministrator, partition, Action{Word: "cancel", Counters: []string{"cancel"},
		Does: "an administrator cancels the partition's move"})
	EditLayout = action(FamilyAdministrator, nodeAndPartition, Action{Word: "edit-layout", Lasts: true, Counters: []string{"epoch-given-twice", "edited-layout-refused"},
		Does: "an administrator makes the node primary of the partition's present epoch, and gives out the next one when this ends"})
	SetRing = action(FamilyAdministrator, oneNode, Action{Word: "set-ring", Counters: []string{"ring-set"},
		Does: "an administrator asks the node to have the cluster place by version 2 of the ring's rule"})
)

// The clients' actions, in addition to the workload.
var (
	AskPut = action(FamilyClient, nodeAndPartition, Action{Word: "put",
		Does: "a client puts the key that stands for the partition, through the node"})
	AskGet = action(FamilyClient, nodeAndPartition, Action{Word: "get",
		Does: "a client gets that key through the node"})
	AskPutNew = action(FamilyClient, nodeAndPartition, Action{Word: "put-new",
		Does: "a client puts a key of the partition that no other request names"})
	AskPutLarge = action(FamilyClient, nodeAndPartition, Action{Word: "put-large",
		Does: "a client puts the longest possible value under the longest possible key"})
)

// Stops returns the host whose process the step stops, or is bound to stop later;
// ok is false if it stops no host. hosts are those of the step's targets.
func (s *Step) Stops(hosts []int, setup *Setup) (host int, ok bool) {
	if s.Do.stops == nil || !s.Do.stops(s, setup) {
		return 0, false
	}
	return hosts[0], true
}

// Cuts returns the links, each from one host to another, on which the step stops
// all frames. hosts are those of the step's targets in a cluster of so many nodes.
func (s *Step) Cuts(hosts []int, nodes int) [][2]int {
	if s.Do.cuts == nil {
		return nil
	}
	return s.Do.cuts(hosts, nodes)
}

func always(*Step, *Setup) bool { return true }

// unlessRestarted reports whether a crash stops its node for the budget. A crash
// for less than a quarter of suspect-after is a restart: it is over before the
// others suspect the node.
func unlessRestarted(s *Step, setup *Setup) bool {
	return s.For == 0 || s.For >= setup.SuspectAfter/4
}

// cutOneWay stops frames from the first host to the second.
func cutOneWay(hosts []int, _ int) [][2]int {
	if len(hosts) < 2 {
		return nil // both targets are one node
	}
	return [][2]int{{hosts[0], hosts[1]}}
}

// cutTwoWay separates the first host from the others named.
func cutTwoWay(hosts []int, _ int) [][2]int { return bothWays(hosts[:1], hosts[1:]) }

// cutFromRest separates the first host from all that are not named.
func cutFromRest(hosts []int, nodes int) [][2]int {
	return bothWays(hosts[:1], Others(hosts, nodes))
}

// cutFromOne stops frames from the first host to all others.
func cutFromOne(hosts []int, nodes int) [][2]int {
	var cuts [][2]int
	for _, other := range Others(hosts[:1], nodes) {
		cuts = append(cuts, [2]int{hosts[0], other})
	}
	return cuts
}

// cutApart separates the hosts named from all others.
func cutApart(hosts []int, nodes int) [][2]int { return bothWays(hosts, Others(hosts, nodes)) }

// cutHalves separates the two halves that Halves returns.
func cutHalves(hosts []int, nodes int) [][2]int { return bothWays(Halves(hosts[0], nodes)) }

func bothWays(some, others []int) [][2]int {
	var cuts [][2]int
	for _, a := range some {
		for _, b := range others {
			cuts = append(cuts, [2]int{a, b}, [2]int{b, a})
		}
	}
	return cuts
}

// Others returns the hosts that are not in the list, in order.
func Others(hosts []int, nodes int) []int {
	var others []int
	for h := range nodes {
		if !slices.Contains(hosts, h) {
			others = append(others, h)
		}
	}
	return others
}

// Halves returns all hosts except the middle one as two halves, in the cyclic order
// that begins after it.
func Halves(middle, nodes int) (one, other []int) {
	all := make([]int, 0, nodes)
	for i := 1; i < nodes; i++ {
		all = append(all, (middle+i)%nodes)
	}
	return all[:len(all)/2], all[len(all)/2:]
}

// leastStall is the shortest duration of a fault that must have an end.
const leastStall = time.Millisecond

// Lasting returns the duration of a fault that must have an end.
func (s *Step) Lasting() time.Duration { return max(s.For, leastStall) }
