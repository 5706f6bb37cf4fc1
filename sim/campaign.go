package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Campaign sums up many runs. It is not safe for concurrent use.
type Campaign struct {
	Profile string

	raw      bool // on disks with Pebble's own files
	runs     int
	failed   int
	byClass  [len("LDRIACVB")]int // runs in which the class fired
	events   uint64
	virtual  time.Duration
	wall     time.Duration // summed over runs
	counters []world.Counter
	inRuns   []int // runs in which the counter was above 0
	probes   [node.EventKinds]uint64
	probedIn [node.EventKinds]int

	own          [len(ownProbes)]uint64
	ownIn        [len(ownProbes)]int
	uses         *uses
	called, done int
	refused      int
	unknown      int
	fewest       int   // operations of a run
	changes      []int // runs by their changes of primary
	nodes        [schedule.MaxNodes + 1]int
	turns        world.TurnSizes
}

// NewCampaign returns a campaign without runs.
func NewCampaign(profile string) *Campaign {
	return &Campaign{Profile: profile, fewest: -1, uses: newUses()}
}

// Runs returns the number of runs that were added and how many of them failed.
func (c *Campaign) Runs() (all, failed int) { return c.runs, c.failed }

// Events returns the number of events of all runs.
func (c *Campaign) Events() uint64 { return c.events }

// Fired lists the classes that fired in any run, worst first.
func (c *Campaign) Fired() []Class { return firedOf(c.byClass[:]) }

// Add adds a run and the time it took on one core.
func (c *Campaign) Add(r *Result, wall time.Duration) {
	c.runs++
	c.raw = c.raw || r.Schedule.Setup.Store == schedule.PebbleRaw
	if len(r.Classes) > 0 {
		c.failed++
	}
	for _, class := range r.Classes {
		c.byClass[slices.Index(Classes, class)]++
	}
	c.events += r.Events
	c.virtual += r.Virtual
	c.wall += wall
	c.addCounters(r)
	c.called += r.Called
	c.done += r.Done
	c.refused += r.Refused
	c.unknown += r.Unknown
	if n := len(r.History); c.fewest < 0 || n < c.fewest {
		c.fewest = n
	}
	c.addChanges(r.PrimaryChanges, 1)
	c.nodes[r.Schedule.Setup.Nodes]++
	c.turns.Add(&r.Turns)
}

func (c *Campaign) addCounters(r *Result) {
	if c.counters == nil {
		c.counters = make([]world.Counter, len(r.Counters))
		c.inRuns = make([]int, len(r.Counters))
	}
	for i, k := range r.Counters {
		c.counters[i].Name = k.Name
		c.counters[i].Count += k.Count
		if k.Count > 0 {
			c.inRuns[i]++
		}
	}
	for kind, n := range r.Probes {
		c.probes[kind] += n
		if n > 0 {
			c.probedIn[kind]++
		}
	}
	for i, p := range ownProbes {
		n := p.of(r)
		c.own[i] += n
		if n > 0 {
			c.ownIn[i]++
		}
	}
	for b, use := range r.Uses {
		c.uses.add(bound(b), use)
	}
}

// ambientFaults are the counters that no action has for its own: what the rates of
// a header, the order of steps and the ways of ZooKeeper and its clients bring
// about in the default profile.
var ambientFaults = []string{
	"core-link-cut", "core-move-finished", "core-partition-watched", "order-overtaken", "stale-answer", "step-at-moment", "step-spared",
	"crash-in-stall", "crash-in-stall-since-its-start", "crash-before-promise-synced", "move-begun-again", "away-over-moves", "former-data-met",
	"net-queue-full", "door-call-held", "door-call-late",
	"door-call-queued", "door-call-unsent", "door-watchdog", "zk-catch-up-lost", "zk-children-unordered",
	"zk-deposed-read", "zk-deposed-sync-read", "zk-deposed-write-blocked", "zk-exists-create-delete-lost",
	"zk-expired-long-disconnected", "zk-expired-while-connected", "zk-expiry-learned-at-reconnect",
	"zk-expiry-put-off", "zk-expiry-stretched", "zk-foreign-ephemeral", "zk-handshake-stalled",
	"zk-isolated-server-ping", "zk-learned-at-follower-first", "zk-learned-at-leader-first", "zk-multi-failed",
	"zk-new-session-behind", "zk-node-swept", "zk-oversized-request", "zk-ping-after-expiry", "zk-quorum-lost",
	"zk-read-before-event", "zk-read-behind-event", "zk-reconnect-pause", "zk-recreate-told-as-change",
	"zk-reply-lost-of-create", "zk-reply-lost-of-delete", "zk-reply-lost-of-multi", "zk-reply-lost-of-sequence",
	"zk-reply-lost-of-set", "zk-request-crossed-sessions", "zk-sequence-duplicated", "zk-sequence-gap",
	"zk-sequence-stuck", "zk-session-blocked", "zk-session-moved", "zk-stale-ephemeral-met", "zk-stale-read",
	"zk-superseded-connection-ping", "zk-superseded-connection-read", "zk-sync-blocked",
	"zk-unguarded-handshake-stalled", "zk-version-reset", "zk-watch-late", "zk-watch-lost", "zk-write-blocked",
	"zk-zxid-ahead-refused", "zk-zxid-spent-on-failure",
}

// rawFaults are those that come in addition on disks with Pebble's own files.
var rawFaults = []string{"disk-torn"}

// drawn lists the counters none of which may stay zero over a campaign.
func (c *Campaign) drawn() []string {
	var names []string
	for _, a := range schedule.Actions() {
		if a.Only == "" || c.raw && a.Only == schedule.PebbleRaw {
			names = append(names, a.Counters...)
		}
	}
	names = append(names, ambientFaults...)
	if c.raw {
		names = append(names, rawFaults...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// probeKinds are the branches that a campaign has to reach: all that the core
// marks, but for those that need faults which are not drawn.
func probeKinds() []node.EventKind {
	kinds := []node.EventKind{node.EventCut, node.EventQuiet, node.EventResumed}
	for k := node.EventLogCopied; k < node.EventNotice; k++ {
		switch k {
		case node.EventFrameRefused: // needs a disk that was replaced
		case node.EventForwardDropped: // needs a member that the primary does not know yet
		default:
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// judgedFrom is the number of runs from which on a zero is a failure: a
// campaign of a few runs cannot reach everything.
const judgedFrom = 1000

// Err says what is wrong with the campaign as a whole: a run that failed, or,
// for a long campaign of the default profile, a fault that never took effect,
// a probe never hit, clients that were not answered as they should be, or a
// cluster that was too calm.
func (c *Campaign) Err() error {
	var all []error
	if c.failed > 0 {
		all = append(all, fmt.Errorf("%d of %d runs failed", c.failed, c.runs))
	}
	if c.runs < judgedFrom || c.Profile != profiles[0].name {
		return errors.Join(all...)
	}
	for _, zero := range c.Zeros() {
		all = append(all, fmt.Errorf("never: %s", zero))
	}
	large := 0
	for n := 5; n <= schedule.MaxNodes; n++ {
		large += c.nodes[n]
	}
	for _, f := range []struct {
		wrong bool
		what  string
	}{
		{c.fewest < 300, fmt.Sprintf("a run had only %d operations, want at least 300", c.fewest)},
		{100*c.done < 60*c.called, fmt.Sprintf("%.1f %% of the operations called under faults were done, want at least 60", percent(c.done, c.called))},
		{100*c.unknown < 2*c.called, fmt.Sprintf("%.1f %% of the operations called under faults ended unknown, want at least 2", percent(c.unknown, c.called))},
		{c.medianChanges() < 3, fmt.Sprintf("the median run had %d changes of primary, want at least 3", c.medianChanges())},
		{c.turns.Share(2) < 0.1, fmt.Sprintf("%.1f %% of the turns had two events or more, want at least 10", 100*c.turns.Share(2))},
		{c.turns.Share(64) == 0, "no turn had 64 events or more"},
		{100*large < 30*c.runs, fmt.Sprintf("%.1f %% of the runs had five nodes or more, want at least 30", percent(large, c.runs))},
	} {
		if f.wrong {
			all = append(all, errors.New(f.what))
		}
	}
	return errors.Join(all...)
}

// Zeros names the faults that never took effect and the probes that were never
// hit, of those that seeds of the default profile should reach.
func (c *Campaign) Zeros() []string {
	var zeros []string
	for _, name := range c.drawn() {
		if c.effects(name) == 0 {
			zeros = append(zeros, "fault "+name)
		}
	}
	for _, k := range probeKinds() {
		if c.probes[k] == 0 {
			zeros = append(zeros, "probe "+k.String())
		}
	}
	for i, p := range ownProbes {
		if c.own[i] == 0 {
			zeros = append(zeros, "probe "+p.name)
		}
	}
	return zeros
}

// effects returns how often a fault took effect.
func (c *Campaign) effects(fault string) uint64 {
	for _, k := range c.counters {
		if k.Name == fault {
			return k.Count
		}
	}
	return 0
}

// Reached returns how many kinds of faults took effect and how many probes were
// hit, each with the number that seeds of the default profile should reach.
func (c *Campaign) Reached() (faults, ofFaults, probes, ofProbes int) {
	for _, name := range c.drawn() {
		if ofFaults++; c.effects(name) > 0 {
			faults++
		}
	}
	for _, k := range probeKinds() {
		if ofProbes++; c.probes[k] > 0 {
			probes++
		}
	}
	for _, times := range c.own {
		if ofProbes++; times > 0 {
			probes++
		}
	}
	return faults, ofFaults, probes, ofProbes
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }

// addChanges adds runs that each had this number of changes of primary.
func (c *Campaign) addChanges(changes, runs int) {
	if missing := changes + 1 - len(c.changes); missing > 0 {
		c.changes = append(c.changes, make([]int, missing)...)
	}
	c.changes[changes] += runs
}

func (c *Campaign) medianChanges() int {
	below := 0
	for changes, runs := range c.changes {
		if below += runs; below > (c.runs-1)/2 {
			return changes
		}
	}
	return 0
}

// Tables returns the sums as text.
func (c *Campaign) Tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %12s %8s\n", "faults that took effect", "times", "runs")
	for i, k := range c.counters {
		if k.Count > 0 || slices.Contains(c.drawn(), k.Name) {
			fmt.Fprintf(&b, "  %-32s %12d %8d%s\n", k.Name, k.Count, c.inRuns[i], zeroMark(k.Count))
		}
	}
	fmt.Fprintf(&b, "%-34s %12s %8s\n", "probes hit", "times", "runs")
	for _, k := range probeKinds() {
		fmt.Fprintf(&b, "  %-32s %12d %8d%s\n", k, c.probes[k], c.probedIn[k], zeroMark(c.probes[k]))
	}
	for i, p := range ownProbes {
		fmt.Fprintf(&b, "  %-32s %12d %8d%s\n", p.name, c.own[i], c.ownIn[i], zeroMark(c.own[i]))
	}
	b.WriteString(c.uses.String())
	fmt.Fprintf(&b, "operations under faults            %12d   done %.1f %%, refused %.1f %%, unknown %.1f %%; fewest of a run, all phases: %d\n",
		c.called, percent(c.done, c.called), percent(c.refused, c.called), percent(c.unknown, c.called), max(0, c.fewest))
	fmt.Fprintf(&b, "changes of primary, median of a run %11d\n", c.medianChanges())
	fmt.Fprintf(&b, "nodes                             ")
	for n, runs := range c.nodes {
		if runs > 0 {
			fmt.Fprintf(&b, "  %d: %.0f %%", n, percent(runs, c.runs))
		}
	}
	fmt.Fprintf(&b, "\nturns by their events             %s", c.turns.String())
	fmt.Fprintf(&b, "\nevents                             %12d   %.0f a second and core\n", c.events, c.Rate())
	fmt.Fprintf(&b, "virtual time of a run, mean        %12v\n", (c.virtual / time.Duration(max(1, c.runs))).Round(time.Millisecond))
	fmt.Fprintf(&b, "runs                               %12d   failed %d%s\n", c.runs, c.failed, c.Failures())
	return b.String()
}

// Rate returns the events per second of one core, checks included.
func (c *Campaign) Rate() float64 {
	if c.wall <= 0 {
		return 0
	}
	return float64(c.events) / c.wall.Seconds()
}

// Failures returns, after a colon, the number of runs in which each class fired,
// or "" if no run failed.
func (c *Campaign) Failures() string {
	var words []string
	for i, class := range Classes {
		if c.byClass[i] > 0 {
			words = append(words, fmt.Sprintf("%s in %d", class, c.byClass[i]))
		}
	}
	if words == nil {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}

func zeroMark(n uint64) string {
	if n == 0 {
		return "   <- never"
	}
	return ""
}

// Seeds is a range of seeds, both ends included.
type Seeds struct{ From, To uint64 }

// ParseSeeds reads "N", which means 1 to N, or "A-B".
func ParseSeeds(text string) (Seeds, error) {
	var s Seeds
	from, to, found := strings.Cut(text, "-")
	if !found {
		from, to = "1", text
	}
	a, err := strconv.ParseUint(from, 10, 64)
	b, err2 := strconv.ParseUint(to, 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return s, fmt.Errorf("seeds %q: want N or A-B: %w", text, err)
	}
	if a > b {
		return s, fmt.Errorf("seeds %q: %d is above %d", text, a, b)
	}
	return Seeds{a, b}, nil
}
