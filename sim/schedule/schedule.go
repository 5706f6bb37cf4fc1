package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/netsim"
)

const (
	MaxNodes = 9
	MaxSteps = 10_000 // of a schedule
)

// Schedule is a run as data: what it is made of, and what is done to it when.
// Together with the build it says everything about the run.
//
// Its text has header lines (see header) and then one timed line a step:
//
//	seed 42
//	nodes 5
//	rates loss=0.01 dup=0 …
//	at 1.5s crash n1 for 2s       # and it restarts 2 s later
//	at 3s cut primary:0>n2        # until healed, or until the phase ends
//	at 4s pause backup:0 after 700ms for 2s  # who is the backup at 4 s
//	at 4s crash primary:0 once started:0     # who is the next one to start
//	at 5s client 2 put k1 at n3   # with workload calls=listed
//
// Header lines that are missing mean defaults. '#' begins a comment. Steps of
// one time are taken in the order of their lines.
type Schedule struct {
	Setup Setup
	Steps []Step // by time
	Calls []Call // by time; only with workload calls=listed
}

// Step is one fault, or one change by an outside hand.
type Step struct {
	At time.Duration // since the run began
	Do Verb
	// Once is what the step waits for from At on, in the life of partition Of; if
	// it does not come, nor does the step.
	Once Moment
	Of   int
	// After is how much later than At, or than the moment, it happens: the
	// targets are those who have the roles at that time.
	After time.Duration
	// For is how long a fault lasts; 0: until something ends it. Only of verbs
	// that last.
	For time.Duration

	Targets   []Target      // nodes struck; of cut-both and cut-one: two
	Partition int           // of move, cancel, put and get
	Server    int           // of zk-lag, zk-isolate and zk-wipe: the ZooKeeper server, from 0
	Lag       time.Duration // of zk-lag, delay, slow and disk-slow
	Rate      int           // of throttle: bytes a second
	Rates     netsim.Rates  // of rates
}

// Target is a node: a certain one, or that which leads or follows a partition
// when the step is taken.
type Target struct {
	Role      Role
	Node      int // of ByNumber: from 1
	Partition int // of the others
}

// Role says how a target is found.
type Role uint8

// ByNumber is a certain node; the others are who has a role: see roleForms.
const (
	ByNumber Role = iota
	Primary
	Backup
	Second
	Former
	Other

	roles
)

// roleForms are the roles' words, and who has them.
var roleForms = [roles]struct{ prefix, what string }{
	Primary: {"primary:", "its primary, as the layout says"},
	Backup:  {"backup:", "its first replica that is not the primary"},
	Second:  {"second:", "its next one"},
	Former:  {"former:", "the last that acted as its primary before the present one"},
	Other:   {"other:", "its first replica that is neither primary nor former"},
}

func (t Target) String() string {
	if t.Role == ByNumber {
		return "n" + strconv.Itoa(t.Node)
	}
	return roleForms[t.Role].prefix + strconv.Itoa(t.Partition)
}

// Verb says what a step does: see verbForms, or dkvsim schedule.
type Verb uint8

// The verbs of a schedule's steps.
const (
	Crash Verb = iota + 1
	Restart
	PowerLoss
	Stop
	Slow
	Pause
	Suspend
	Resume
	DiskStall
	DiskSlow
	DiskFailSync
	DiskIO
	DiskFull
	DiskRot
	DiskFlipEntry
	DiskFlipTable
	DiskFlipLog
	CutOneWay
	CutTwoWay
	Isolate
	Split
	Cordon
	Bridge
	Delay
	Throttle
	Heal
	SetRates
	ZKExpire
	ZKCut
	ZKHeal
	ZKDown
	ZKUp
	ZKLeader
	ZKLag
	ZKLoseBefore
	ZKLoseAfter
	ZKLate
	ZKIsolate
	ZKWipe
	ZKLoseAll
	Move
	Cancel
	Clog
	CrashInTurn
	AskPut
	AskGet
	AskPutNew
	AskPutLarge

	// NumVerbs bounds the verbs: they run from 1 to NumVerbs-1.
	NumVerbs
)

// arguments says what follows a verb in a schedule's text.
type arguments uint8

const (
	noArguments arguments = iota
	oneTarget
	manyTargets
	twoTargets
	arrow // two targets with > or <> between
	arrowAndLag
	arrowAndRate
	targetAndLag
	rateList
	serverAndLag
	serverOnly
	partitionOnly
	partitionAndTargets
	targetAndPartition
)

type verbForm struct {
	word  string
	args  arguments
	lasts bool   // may be followed by "for"
	what  string // it does, or becomes of the node
}

var verbForms = [NumVerbs]verbForm{
	Crash:         {"crash", oneTarget, true, "it loses its memory, and a part of what it had not synced"},
	Restart:       {"restart", oneTarget, false, "it comes back from a crash"},
	PowerLoss:     {"power-loss", noArguments, true, "all nodes crash at once"},
	Stop:          {"stop", oneTarget, true, "it ends as it should, and hands over first"},
	Slow:          {"slow", targetAndLag, true, "it takes up to so much longer for each turn"},
	Pause:         {"pause", oneTarget, true, "it stands still, its memory whole"},
	Suspend:       {"suspend", oneTarget, true, "it stands still with its whole machine, disk and network too, while the clock goes on"},
	Resume:        {"resume", oneTarget, false, "it goes on"},
	DiskStall:     {"disk-stall", oneTarget, true, "its disk ends no sync"},
	DiskSlow:      {"disk-slow", targetAndLag, true, "its disk takes up to so much longer for each sync"},
	DiskFailSync:  {"disk-fail-sync", oneTarget, false, "its disk's next sync fails"},
	DiskIO:        {"disk-eio", oneTarget, true, "its disk can neither be read nor written"},
	DiskFull:      {"disk-full", oneTarget, true, "its disk takes no more"},
	DiskRot:       {"disk-rot", oneTarget, true, "one key of its disk cannot be read"},
	DiskFlipEntry: {"disk-flip-entry", oneTarget, true, "one entry of its logs is read with a bit flipped"},
	DiskFlipTable: {"disk-flip-table", oneTarget, true, "it crashes, and a bit of Pebble's tables flips for good (store pebble-raw)"},
	DiskFlipLog:   {"disk-flip-wal", oneTarget, true, "it crashes, and a bit of Pebble's log flips for good (store pebble-raw)"},
	CutOneWay:     {"cut", arrow, true, "frames from the first to the second are lost or held"},
	CutTwoWay:     {"cut", arrow, true, "frames between the two are lost or held"},
	Isolate:       {"isolate", oneTarget, true, "it is cut off from all other nodes, not from ZooKeeper"},
	Split:         {"split", manyTargets, true, "these are cut off from the others"},
	Cordon:        {"cordon", twoTargets, true, "the first is cut off from all nodes but the second"},
	Bridge:        {"bridge", oneTarget, true, "the others fall into two halves, and only it reaches both"},
	Delay:         {"delay", arrowAndLag, true, "frames from the first to the second take so much longer"},
	Throttle:      {"throttle", arrowAndRate, true, "frames from the first to the second pass one after the other, so many bytes a second"},
	Heal:          {"heal", noArguments, false, "ends all faults of the network"},
	SetRates:      {"rates", rateList, true, "so likely is each fault of a frame"},
	ZKExpire:      {"zk-expire", oneTarget, false, "ZooKeeper ends its session"},
	ZKCut:         {"zk-cut", oneTarget, true, "it cannot reach ZooKeeper"},
	ZKHeal:        {"zk-heal", oneTarget, false, "it can again"},
	ZKDown:        {"zk-down", noArguments, true, "ZooKeeper has no quorum"},
	ZKUp:          {"zk-up", noArguments, false, "ZooKeeper has a quorum again"},
	ZKLeader:      {"zk-leader", noArguments, false, "ZooKeeper elects another leader"},
	ZKLag:         {"zk-lag", serverAndLag, true, "a server of ZooKeeper applies so late"},
	ZKLoseBefore:  {"zk-lose-before", oneTarget, false, "its next write to ZooKeeper is lost, and its connection breaks"},
	ZKLoseAfter:   {"zk-lose-after", oneTarget, false, "its next write to ZooKeeper is done, and the reply is lost"},
	ZKLate:        {"zk-late", oneTarget, false, "its next write to ZooKeeper breaks its connection, and is done later"},
	ZKIsolate:     {"zk-isolate", serverOnly, true, "a server is cut off from the leader, or the leader from the others"},
	ZKWipe:        {"zk-wipe", serverOnly, true, "a server loses its disk, and has caught up when it is over"},
	ZKLoseAll:     {"zk-lose-all", noArguments, false, "all servers lose their disks: ZooKeeper knows nothing more"},
	Move:          {"move", partitionAndTargets, false, "an outside hand begins to move a partition to these nodes"},
	Cancel:        {"cancel", partitionOnly, false, "an outside hand cancels the move"},
	Clog:          {"clog", oneTarget, true, "all that it sends and is sent waits"},
	CrashInTurn:   {"crash-in-turn", oneTarget, true, "it crashes between the commit and the last message of a turn"},
	AskPut:        {"put", targetAndPartition, false, "a client puts the key that stands for a partition, at this node"},
	AskGet:        {"get", targetAndPartition, false, "a client gets it"},
	AskPutNew:     {"put-new", targetAndPartition, false, "a client puts a key of the partition that nobody has asked for"},
	AskPutLarge:   {"put-large", targetAndPartition, false, "a client puts the longest value under the longest key that there may be"},
}

func (v Verb) String() string { return verbForms[v].word }

// String is the schedule's text, with every field of its header; ParseSchedule
// reads it.
func (s *Schedule) String() string { return s.text(func(Field) bool { return true }) }

// Brief is the schedule's text without the fields that are as they are where a
// header leaves them out. ParseSchedule makes the same schedule of it.
func (s *Schedule) Brief() string {
	calm := DefaultSetup()
	return s.text(func(f Field) bool {
		return f.Line == "seed" || f.of(&s.Setup).String() != f.of(&calm).String()
	})
}

// text prints the fields that are wanted, and then steps and calls by time.
func (s *Schedule) text(wanted func(Field) bool) string {
	var b strings.Builder
	line := ""
	for _, f := range header {
		if !wanted(f) {
			continue
		}
		if f.Line != line {
			if line != "" {
				b.WriteByte('\n')
			}
			line = f.Line
			b.WriteString(line)
		}
		b.WriteByte(' ')
		if f.Key != "" {
			b.WriteString(f.Key + "=")
		}
		b.WriteString(f.of(&s.Setup).String())
	}
	b.WriteByte('\n')
	calls := s.Calls
	for i := range s.Steps {
		for len(calls) > 0 && calls[0].At < s.Steps[i].At {
			b.WriteString(calls[0].String() + "\n")
			calls = calls[1:]
		}
		b.WriteString(s.Steps[i].String() + "\n")
	}
	for i := range calls {
		b.WriteString(calls[i].String() + "\n")
	}
	return b.String()
}

// String is the step's line.
func (s *Step) String() string {
	words := []string{"at", s.At.String(), s.Do.String()}
	switch s.Do {
	case CutOneWay:
		words = append(words, s.Targets[0].String()+">"+s.Targets[1].String())
	case Delay:
		words = append(words, s.Targets[0].String()+">"+s.Targets[1].String(), s.Lag.String())
	case Throttle:
		words = append(words, s.Targets[0].String()+">"+s.Targets[1].String(), strconv.Itoa(s.Rate))
	case CutTwoWay:
		words = append(words, s.Targets[0].String()+"<>"+s.Targets[1].String())
	case SetRates:
		rates := s.Rates
		for _, f := range rateFields(&rates) {
			if *f.rate != 0 {
				words = append(words, f.key+"="+(*rateValue)(f.rate).String())
			}
		}
	case ZKLag:
		words = append(words, strconv.Itoa(s.Server), s.Lag.String())
	case ZKIsolate, ZKWipe:
		words = append(words, strconv.Itoa(s.Server))
	case Move, Cancel:
		words = append(words, strconv.Itoa(s.Partition))
	}
	args := verbForms[s.Do].args
	if args != arrow && args != arrowAndLag && args != arrowAndRate {
		for _, t := range s.Targets {
			words = append(words, t.String())
		}
	}
	if args == targetAndLag {
		words = append(words, s.Lag.String())
	}
	if args == targetAndPartition {
		words = append(words, strconv.Itoa(s.Partition))
	}
	if s.Once != AtOnce {
		words = append(words, "once", s.Once.String()+":"+strconv.Itoa(s.Of))
	}
	if s.After > 0 {
		words = append(words, "after", s.After.String())
	}
	if s.For > 0 {
		words = append(words, "for", s.For.String())
	}
	return strings.Join(words, " ")
}

type rateField struct {
	key  string
	rate *float64
}

func rateFields(r *netsim.Rates) []rateField {
	return []rateField{
		{"loss", &r.Loss}, {"dup", &r.Duplicate}, {"reorder", &r.Reorder}, {"delay", &r.Delay},
		{"corrupt", &r.Corrupt}, {"reset", &r.Reset}, {"half-open", &r.HalfOpen}, {"hint-loss", &r.HintLoss},
	}
}

// ParseSchedule reads a schedule's text. Errors name the line.
func Parse(text string) (*Schedule, error) {
	p := &scheduleParser{s: &Schedule{Setup: DefaultSetup()}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("schedule line %d: %w", i+1, err)
		}
	}
	if err := p.s.validate(); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	if len(p.s.Calls) > 0 && p.s.Setup.Workload.Source != Listed {
		return nil, fmt.Errorf("schedule header: the clients' calls stand below, so it wants a line: workload calls=%s", Listed)
	}
	slices.SortStableFunc(p.s.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(p.s.Calls, ByCallTime)
	return p.s, nil
}

type scheduleParser struct {
	s    *Schedule
	seen []string // header lines
}

func (p *scheduleParser) line(words []string) error {
	if words[0] != "at" {
		return p.headerLine(words[0], words[1:])
	}
	if len(words) > 2 && words[2] == callWord {
		return p.callLine(words)
	}
	if len(p.s.Steps) == MaxSteps {
		return fmt.Errorf("more than %d steps", MaxSteps)
	}
	step, err := parseStep(words[1:], &p.s.Setup)
	if err == nil {
		p.s.Steps = append(p.s.Steps, step)
	}
	return err
}

func (p *scheduleParser) callLine(words []string) error {
	if len(p.s.Calls) == MaxCalls {
		return fmt.Errorf("more than %d calls", MaxCalls)
	}
	call, err := parseCall(words[1:], &p.s.Setup)
	if err == nil {
		p.s.Calls = append(p.s.Calls, call)
	}
	return err
}

func (p *scheduleParser) headerLine(name string, words []string) error {
	if len(p.s.Steps)+len(p.s.Calls) > 0 {
		return fmt.Errorf("%q belongs above the first step", name)
	}
	if slices.Contains(p.seen, name) {
		return fmt.Errorf("a second line %q", name)
	}
	p.seen = append(p.seen, name)
	known := false
	for _, f := range header {
		if f.Line != name {
			continue
		}
		known = true
		if f.Key == "" {
			if len(words) != 1 {
				return fmt.Errorf("%q wants one word", name)
			}
			return f.of(&p.s.Setup).Set(words[0])
		}
	}
	if !known {
		return fmt.Errorf("unknown line %q", name)
	}
	return p.headerGroup(name, words)
}

func (p *scheduleParser) headerGroup(name string, words []string) error {
	var seen []string
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is not key=value", word)
		}
		i := slices.IndexFunc(header, func(f Field) bool { return f.Line == name && f.Key == key })
		if i < 0 {
			return fmt.Errorf("%q has no %q", name, key)
		}
		if slices.Contains(seen, key) {
			return fmt.Errorf("%s twice", key)
		}
		seen = append(seen, key)
		if err := header[i].of(&p.s.Setup).Set(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// parseStep reads a step's line after its "at".
func parseStep(words []string, setup *Setup) (Step, error) {
	if len(words) < 2 {
		return Step{}, errors.New("a step is: at TIME VERB …")
	}
	var s Step
	if err := (&durationValue{&s.At, 0}).Set(words[0]); err != nil {
		return s, err
	}
	verb := slices.IndexFunc(verbForms[:], func(f verbForm) bool { return f.word == words[1] })
	if verb <= 0 {
		return s, fmt.Errorf("unknown step %q", words[1])
	}
	s.Do = Verb(verb)
	words, err := parseFor(words[2:], &s)
	if n := len(words); err == nil && n >= 2 && words[n-2] == "after" {
		err = (&durationValue{&s.After, 1}).Set(words[n-1])
		words = words[:n-2]
	}
	if err == nil {
		words, err = parseOnce(words, &s, setup)
	}
	if err != nil {
		return s, err
	}
	return s, s.parseArguments(words, setup)
}

// UseStore lets a schedule run on another kind of disk. It is an error if one
// of its steps can't happen there.
func (s *Schedule) UseStore(store Store) error {
	before := s.Setup.Store
	s.Setup.Store = store
	if err := s.validate(); err != nil {
		s.Setup.Store = before
		return err
	}
	return nil
}

// validate names the first thing about the whole that no run can be made of.
func (s *Schedule) validate() error {
	if err := s.Setup.validate(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		if flips := step.Do == DiskFlipTable || step.Do == DiskFlipLog; flips && s.Setup.Store != PebbleRaw {
			return fmt.Errorf("%v: only store %s can do that, not %s", step, PebbleRaw, s.Setup.Store)
		}
	}
	return nil
}

// parseFor takes "for DURATION" off the end of a line.
func parseFor(words []string, s *Step) ([]string, error) {
	n := len(words)
	if n < 2 || words[n-2] != "for" {
		return words, nil
	}
	if !verbForms[s.Do].lasts {
		return nil, fmt.Errorf("%v does not last", s.Do)
	}
	return words[:n-2], (&durationValue{&s.For, 1}).Set(words[n-1])
}

func (s *Step) parseArguments(words []string, setup *Setup) error {
	switch verbForms[s.Do].args {
	case oneTarget:
		if len(words) != 1 {
			return fmt.Errorf("%v wants one node", s.Do)
		}
		return s.parseTargets(words, setup)
	case targetAndLag:
		if len(words) != 2 {
			return fmt.Errorf("%v wants a node and a duration", s.Do)
		}
		return errors.Join(s.parseTargets(words[:1], setup), (&durationValue{&s.Lag, 1}).Set(words[1]))
	case twoTargets:
		if len(words) != 2 {
			return fmt.Errorf("%v wants two nodes", s.Do)
		}
		return s.parseTargets(words, setup)
	case manyTargets:
		if len(words) == 0 {
			return fmt.Errorf("%v wants nodes", s.Do)
		}
		return s.parseTargets(words, setup)
	case arrow:
		return s.parseArrow(words, setup)
	case arrowAndLag, arrowAndRate:
		return s.parseLink(words, setup)
	case rateList:
		return s.parseRates(words)
	case serverAndLag:
		if len(words) != 2 {
			return fmt.Errorf("%v wants a server and a duration", s.Do)
		}
		return errors.Join(
			(&intValue{&s.Server, 0, setup.ZKServers - 1}).Set(words[0]),
			(&durationValue{&s.Lag, 1}).Set(words[1]))
	case serverOnly:
		if len(words) != 1 {
			return fmt.Errorf("%v wants a server", s.Do)
		}
		return (&intValue{&s.Server, 0, setup.ZKServers - 1}).Set(words[0])
	case partitionOnly, partitionAndTargets:
		return s.parseMove(words, setup)
	case targetAndPartition:
		return s.parseAsk(words, setup)
	}
	if len(words) > 0 {
		return fmt.Errorf("%v wants nothing more, here is %q", s.Do, words[0])
	}
	return nil
}

func (s *Step) parseArrow(words []string, setup *Setup) error {
	if len(words) != 1 {
		return errors.New("cut wants n1>n2 or n1<>n2")
	}
	from, to, ok := strings.Cut(words[0], ">")
	if !ok {
		return fmt.Errorf("%q is neither n1>n2 nor n1<>n2", words[0])
	}
	s.Do = CutOneWay
	if both, found := strings.CutSuffix(from, "<"); found {
		from, s.Do = both, CutTwoWay
	}
	return s.parseTargets([]string{from, to}, setup)
}

// maxLinkRate is more than any frame needs to pass at once.
const maxLinkRate = 1 << 30

// parseLink reads a link and what its frames meet there.
func (s *Step) parseLink(words []string, setup *Setup) error {
	what, value := "a duration", textValue(&durationValue{&s.Lag, 1})
	if s.Do == Throttle {
		what, value = "bytes a second", &intValue{&s.Rate, 1, maxLinkRate}
	}
	if len(words) != 2 {
		return fmt.Errorf("%v wants n1>n2 and %s", s.Do, what)
	}
	from, to, _ := strings.Cut(words[0], ">")
	return errors.Join(s.parseTargets([]string{from, to}, setup), value.Set(words[1]))
}

func (s *Step) parseRates(words []string) error {
	fields := rateFields(&s.Rates)
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		i := slices.IndexFunc(fields, func(f rateField) bool { return f.key == key })
		if i < 0 {
			return fmt.Errorf("there is no rate %q", key)
		}
		if err := (*rateValue)(fields[i].rate).Set(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (s *Step) parseMove(words []string, setup *Setup) error {
	if len(words) == 0 {
		return fmt.Errorf("%v wants a partition", s.Do)
	}
	partition, err := parsePartition(words[0], setup)
	if err != nil {
		return err
	}
	s.Partition = partition
	switch words = words[1:]; {
	case s.Do == Cancel && len(words) > 0:
		return fmt.Errorf("cancel wants nothing more, here is %q", words[0])
	case s.Do == Move && (len(words) == 0 || len(words) > 7):
		return errors.New("move wants the 1 to 7 nodes to move to")
	}
	return s.parseTargets(words, setup)
}

func (s *Step) parseAsk(words []string, setup *Setup) (err error) {
	if len(words) != 2 {
		return fmt.Errorf("%v wants a node and a partition", s.Do)
	}
	if s.Partition, err = parsePartition(words[1], setup); err != nil {
		return err
	}
	return s.parseTargets(words[:1], setup)
}

func (s *Step) parseTargets(words []string, setup *Setup) error {
	for _, word := range words {
		t, err := parseTarget(word, setup)
		if err != nil {
			return err
		}
		if slices.Contains(s.Targets, t) {
			return fmt.Errorf("%v twice", t)
		}
		s.Targets = append(s.Targets, t)
	}
	return nil
}

func parseTarget(word string, setup *Setup) (Target, error) {
	for role := Primary; role < roles; role++ {
		if number, found := strings.CutPrefix(word, roleForms[role].prefix); found {
			partition, err := parsePartition(number, setup)
			return Target{Role: role, Partition: partition}, err
		}
	}
	number, found := strings.CutPrefix(word, "n")
	var n int
	if err := (&intValue{&n, 1, setup.Nodes}).Set(number); !found || err != nil {
		return Target{}, fmt.Errorf("%q is none of n1 to n%d, primary:P, backup:P, second:P, former:P, other:P", word, setup.Nodes)
	}
	return Target{Node: n}, nil
}

func parsePartition(word string, setup *Setup) (int, error) {
	var p int
	if err := (&intValue{&p, 0, setup.Partitions - 1}).Set(word); err != nil {
		return 0, fmt.Errorf("%q is no partition from 0 to %d", word, setup.Partitions-1)
	}
	return p, nil
}
