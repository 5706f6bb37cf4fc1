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
	MaxNodes      = 20
	MaxStrangers  = 4
	MaxPartitions = 512
	MaxSteps      = 10_000 // of a schedule
)

// Schedule describes a run as data: its setup, and what is done to it at which
// times. Together with the build it determines the run.
//
// Its text has header lines (see header) and then one line per step:
//
//	seed 42
//	nodes 5
//	rates loss=0.01 dup=0 …
//	at 1.5s crash n1 for 2s       # n1 restarts 2 s later
//	at 3s cut primary:0>n2        # until a heal or the end of the phase
//	at 4s pause backup:0 after 700ms for 2s  # the node that is the backup at 4 s
//	at 4s crash primary:0 once started:0     # the next node to start an epoch
//	at 5s client 2 put k1 at n3   # with workload calls=listed
//
// A missing header line means its default. '#' begins a comment. Steps with equal
// times happen in the order of their lines.
type Schedule struct {
	Setup Setup
	Steps []Step // by time
	Calls []Call // by time; only with workload calls=listed
}

// Step is one action at its time: a fault, an administrator's command or a
// client's request.
type Step struct {
	At time.Duration // since the run began
	Do *Action
	// Once is the event in partition Of for which the step waits from At on. If the
	// event does not occur, the step does not either.
	Once Trigger
	Of   int
	// After delays the step from At, or from its trigger. The targets are the nodes
	// that have the roles before this delay.
	After time.Duration
	// For is the duration of a fault; 0: until something ends it. Only for actions
	// that last.
	For time.Duration

	Targets   []Target      // the nodes struck; two for a link
	Partition int           // of move, cancel, put and get
	Server    int           // of zk-lag, zk-isolate and zk-wipe: the ZooKeeper server, from 0
	Lag       time.Duration // of zk-lag, delay, late, slow and disk-slow
	Rate      int           // of throttle: bytes per second
	Rates     netsim.Rates  // of rates
}

// Target is a node: a fixed one, or the one that has a role for a partition when
// the step happens.
type Target struct {
	Role      Role
	Node      int // of ByNumber: from 1
	Partition int // of the others
}

// Role is the way in which a target is found.
type Role uint8

// ByNumber names a fixed node; for the others see roleForms.
const (
	ByNumber Role = iota
	Primary
	Backup
	Second
	Former
	Other

	roles
)

// roleForms holds the word of each role and the node that has it.
var roleForms = [roles]struct{ prefix, what string }{
	Primary: {"primary:", "the primary of P in the layout"},
	Backup:  {"backup:", "the first replica of P that is not the primary"},
	Second:  {"second:", "the second such replica"},
	Former:  {"former:", "the last node that started an epoch of P before the present primary"},
	Other:   {"other:", "the first replica of P that is neither primary nor former"},
}

func (t Target) String() string {
	if t.Role == ByNumber {
		return "n" + strconv.Itoa(t.Node)
	}
	return roleForms[t.Role].prefix + strconv.Itoa(t.Partition)
}

// String is the schedule's text, with every field of its header; Parse
// reads it.
func (s *Schedule) String() string { return s.text(func(Field) bool { return true }) }

// Brief returns the schedule's text without the fields that have their defaults. Parse makes the same schedule of it.
func (s *Schedule) Brief() string {
	calm := DefaultSetup()
	return s.text(func(f Field) bool {
		return f.Line == "seed" || f.of(&s.Setup).String() != f.of(&calm).String()
	})
}

// text prints the wanted fields of the header, and then steps and calls by time.
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

// String returns the step's line.
func (s *Step) String() string {
	words := append([]string{"at", s.At.String(), s.Do.Word}, s.Do.arguments.print(s)...)
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

// Parse reads a schedule's text. Errors name the line.
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
		return nil, fmt.Errorf("schedule header: client calls need the header line: workload calls=%s", Listed)
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
		return fmt.Errorf("header line %q must come before the first step", name)
	}
	if slices.Contains(p.seen, name) {
		return fmt.Errorf("header line %q appears twice", name)
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
				return fmt.Errorf("header line %q takes one value", name)
			}
			return f.of(&p.s.Setup).Set(words[0])
		}
	}
	if !known {
		return fmt.Errorf("unknown header line %q (dkvsim schedule lists all of them)", name)
	}
	return p.headerGroup(name, words)
}

func (p *scheduleParser) headerGroup(name string, words []string) error {
	var seen []string
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("invalid word %q (want key=value)", word)
		}
		i := slices.IndexFunc(header, func(f Field) bool { return f.Line == name && f.Key == key })
		if i < 0 {
			return fmt.Errorf("header line %q has no key %q", name, key)
		}
		if slices.Contains(seen, key) {
			return fmt.Errorf("key %s appears twice", key)
		}
		seen = append(seen, key)
		if err := header[i].of(&p.s.Setup).Set(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// parseStep parses a step's line after its "at".
func parseStep(words []string, setup *Setup) (Step, error) {
	if len(words) < 2 {
		return Step{}, errors.New("incomplete step (want: at TIME ACTION and its parameters)")
	}
	var s Step
	if err := (&durationValue{&s.At, 0}).Set(words[0]); err != nil {
		return s, err
	}
	var usages []string
	var first error
	for _, a := range actions {
		if a.Word != words[1] {
			continue
		}
		step, err := s.parseAs(a, words[2:], setup)
		if err == nil {
			return step, nil
		}
		if first == nil {
			first = err
		}
		usages = append(usages, "at TIME "+a.usage())
	}
	switch {
	case usages == nil:
		return s, fmt.Errorf("unknown action %q (dkvsim schedule lists all of them)", words[1])
	case len(usages) == 1 && !errors.Is(first, errWords):
		return s, first
	}
	return s, fmt.Errorf("%s: %w; usage: %s", words[1], first, strings.Join(usages, ", or: "))
}

// parseAs parses what follows an action's word: its arguments, and then "once",
// "after" and "for".
func (s Step) parseAs(a *Action, words []string, setup *Setup) (Step, error) {
	s.Do = a
	words, err := parseFor(words, &s)
	if n := len(words); err == nil && n >= 2 && words[n-2] == "after" {
		err = (&durationValue{&s.After, 1}).Set(words[n-1])
		words = words[:n-2]
	}
	if err == nil {
		words, err = parseOnce(words, &s, setup)
	}
	if err == nil {
		err = a.arguments.parse(&s, words, setup)
	}
	return s, err
}

// UseStore changes the schedule's store. It returns an error if one of the steps
// is not possible on that store.
func (s *Schedule) UseStore(store Store) error {
	before := s.Setup.Store
	s.Setup.Store = store
	if err := s.validate(); err != nil {
		s.Setup.Store = before
		return err
	}
	return nil
}

// validate returns an error for the first problem that a single line does not show.
func (s *Schedule) validate() error {
	if err := s.Setup.validate(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		if only := step.Do.Only; only != "" && s.Setup.Store != only {
			return fmt.Errorf("%v: only possible with store %s, not %s", step, only, s.Setup.Store)
		}
	}
	return nil
}

// parseFor parses and removes "for TIME" at the end of a line.
func parseFor(words []string, s *Step) ([]string, error) {
	n := len(words)
	if n < 2 || words[n-2] != "for" {
		return words, nil
	}
	if !s.Do.Lasts {
		return nil, fmt.Errorf("%v takes no \"for\": it does not last", s.Do)
	}
	return words[:n-2], (&durationValue{&s.For, 1}).Set(words[n-1])
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
	if err := (&intValue{&n, 1, setup.Hosts()}).Set(number); !found || err != nil {
		return Target{}, fmt.Errorf("invalid node %q (want n1 to n%d, primary:P, backup:P, second:P, former:P or other:P)", word, setup.Hosts())
	}
	return Target{Node: n}, nil
}

func parsePartition(word string, setup *Setup) (int, error) {
	var p int
	if err := (&intValue{&p, 0, setup.Partitions - 1}).Set(word); err != nil {
		return 0, fmt.Errorf("invalid partition %q (want 0 to %d)", word, setup.Partitions-1)
	}
	return p, nil
}
