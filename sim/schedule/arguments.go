package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/netsim"
)

// arguments is one form of the words that follow an action's word: how they are
// written, parsed, and generated for tests.
type arguments struct {
	words    string // in capitals, for the reference
	parse    func(s *Step, words []string, setup *Setup) error
	print    func(s *Step) []string
	generate func(s *Step, g generator)
}

// The forms. Each parse function gets the words between the action's word and
// "once", "after" or "for".
var (
	nothing = &arguments{"",
		func(s *Step, words []string, _ *Setup) error { return wantWords(words, 0) },
		func(*Step) []string { return nil },
		func(*Step, generator) {}}

	oneNode = &arguments{"NODE",
		func(s *Step, words []string, setup *Setup) error {
			return errors.Join(wantWords(words, 1), s.parseTargets(words, setup))
		},
		printTargets,
		func(s *Step, g generator) { s.Targets = []Target{g.target()} }}

	twoNodes = &arguments{"NODE NODE",
		func(s *Step, words []string, setup *Setup) error {
			return errors.Join(wantWords(words, 2), s.parseTargets(words, setup))
		},
		printTargets,
		func(s *Step, g generator) { s.Targets = []Target{{Role: Primary}, {Node: g.setup.Nodes}} }}

	someNodes = &arguments{"NODE …",
		func(s *Step, words []string, setup *Setup) error {
			if len(words) == 0 {
				return errWords
			}
			return s.parseTargets(words, setup)
		},
		printTargets,
		func(s *Step, g generator) { s.Targets = g.targets(4) }}

	nodeAndTime = &arguments{"NODE TIME",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 2); err != nil {
				return err
			}
			return errors.Join(s.parseTargets(words[:1], setup), parseLag(s, words[1]))
		},
		func(s *Step) []string { return append(printTargets(s), s.Lag.String()) },
		func(s *Step, g generator) { s.Targets, s.Lag = []Target{g.target()}, g.duration("lag") }}

	nodeAndPartition = &arguments{"NODE P",
		func(s *Step, words []string, setup *Setup) (err error) {
			if err := wantWords(words, 2); err != nil {
				return err
			}
			if s.Partition, err = parsePartition(words[1], setup); err != nil {
				return err
			}
			return s.parseTargets(words[:1], setup)
		},
		func(s *Step) []string { return append(printTargets(s), strconv.Itoa(s.Partition)) },
		func(s *Step, g generator) { s.Targets, s.Partition = []Target{g.target()}, g.partition("partition") }}

	link = &arguments{"NODE>NODE",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 1); err != nil {
				return err
			}
			return s.parseLink(words[0], ">", setup)
		},
		func(s *Step) []string { return []string{printLink(s, ">")} },
		func(s *Step, g generator) { s.Targets = []Target{{Role: Primary}, {Node: g.setup.Nodes}} }}

	linkBothWays = &arguments{"NODE<>NODE",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 1); err != nil {
				return err
			}
			return s.parseLink(words[0], "<>", setup)
		},
		func(s *Step) []string { return []string{printLink(s, "<>")} },
		link.generate}

	linkAndTime = &arguments{"NODE>NODE TIME",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 2); err != nil {
				return err
			}
			return errors.Join(s.parseLink(words[0], ">", setup), parseLag(s, words[1]))
		},
		func(s *Step) []string { return []string{printLink(s, ">"), s.Lag.String()} },
		func(s *Step, g generator) { s.Targets, s.Lag = []Target{{Node: 1}, {Role: Backup}}, g.duration("lag") }}

	linkAndRate = &arguments{"NODE>NODE BYTES",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 2); err != nil {
				return err
			}
			return errors.Join(s.parseLink(words[0], ">", setup), (&intValue{&s.Rate, 1, maxLinkRate}).Set(words[1]))
		},
		func(s *Step) []string { return []string{printLink(s, ">"), strconv.Itoa(s.Rate)} },
		func(s *Step, g generator) {
			s.Targets, s.Rate = []Target{{Node: 1}, {Role: Backup}}, g.draw("rate", 1, maxLinkRate)
		}}

	frameRates = &arguments{"FAULT=CHANCE …", (*Step).parseRates, printRates,
		func(s *Step, g generator) {
			for _, f := range rateFields(&s.Rates) {
				*f.rate = float64(g.draw(f.key, 0, 1_000_000)) / 1_000_000
			}
		}}

	server = &arguments{"SERVER",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 1); err != nil {
				return err
			}
			return s.parseServer(words[0], setup)
		},
		func(s *Step) []string { return []string{strconv.Itoa(s.Server)} },
		func(s *Step, g generator) { s.Server = g.draw("server", 0, g.setup.ZKServers-1) }}

	serverAndTime = &arguments{"SERVER TIME",
		func(s *Step, words []string, setup *Setup) error {
			if err := wantWords(words, 2); err != nil {
				return err
			}
			return errors.Join(s.parseServer(words[0], setup), parseLag(s, words[1]))
		},
		func(s *Step) []string { return []string{strconv.Itoa(s.Server), s.Lag.String()} },
		func(s *Step, g generator) { server.generate(s, g); s.Lag = g.duration("lag") }}

	partition = &arguments{"P",
		func(s *Step, words []string, setup *Setup) (err error) {
			if err := wantWords(words, 1); err != nil {
				return err
			}
			s.Partition, err = parsePartition(words[0], setup)
			return err
		},
		func(s *Step) []string { return []string{strconv.Itoa(s.Partition)} },
		func(s *Step, g generator) { s.Partition = g.partition("partition") }}

	partitionAndNodes = &arguments{"P NODE …",
		func(s *Step, words []string, setup *Setup) (err error) {
			if len(words) < 2 || len(words) > 1+maxReplicas {
				return fmt.Errorf("%w, 1 to %d nodes", errWords, maxReplicas)
			}
			if s.Partition, err = parsePartition(words[0], setup); err != nil {
				return err
			}
			return s.parseTargets(words[1:], setup)
		},
		func(s *Step) []string { return append([]string{strconv.Itoa(s.Partition)}, printTargets(s)...) },
		func(s *Step, g generator) { s.Partition, s.Targets = g.partition("partition"), g.targets(maxReplicas) }}
)

// maxReplicas is the greatest number of replicas of a partition.
const maxReplicas = 7

// errWords is incomplete: parseStep adds the action and its usage.
var errWords = errors.New("wrong number of arguments")

func wantWords(words []string, n int) error {
	if len(words) != n {
		return errWords
	}
	return nil
}

func printTargets(s *Step) []string {
	words := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		words[i] = t.String()
	}
	return words
}

func printLink(s *Step, between string) string {
	return s.Targets[0].String() + between + s.Targets[1].String()
}

func parseLag(s *Step, word string) error { return (&durationValue{&s.Lag, 1}).Set(word) }

// maxLinkRate is so high that any frame passes at once.
const maxLinkRate = 1 << 30

// parseLink parses two nodes with ">" or "<>" between them.
func (s *Step) parseLink(word, between string, setup *Setup) error {
	from, to, ok := strings.Cut(word, between)
	if !ok || strings.ContainsAny(from+to, "<>") {
		return fmt.Errorf("invalid link %q (example: n1%sn2)", word, between)
	}
	return s.parseTargets([]string{from, to}, setup)
}

func (s *Step) parseServer(word string, setup *Setup) error {
	return (&intValue{&s.Server, 0, setup.ZKServers - 1}).Set(word)
}

func (s *Step) parseTargets(words []string, setup *Setup) error {
	for _, word := range words {
		t, err := parseTarget(word, setup)
		if err != nil {
			return err
		}
		if slices.Contains(s.Targets, t) {
			return fmt.Errorf("%v is named twice", t)
		}
		s.Targets = append(s.Targets, t)
	}
	return nil
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

func (s *Step) parseRates(words []string, _ *Setup) error {
	fields := rateFields(&s.Rates)
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		i := slices.IndexFunc(fields, func(f rateField) bool { return f.key == key })
		if i < 0 {
			return fmt.Errorf("unknown fault %q (example: loss=0.01)", key)
		}
		if err := (*rateValue)(fields[i].rate).Set(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// printRates leaves out rates that are zero.
func printRates(s *Step) []string {
	var words []string
	rates := s.Rates
	for _, f := range rateFields(&rates) {
		if *f.rate != 0 {
			words = append(words, f.key+"="+(*rateValue)(f.rate).String())
		}
	}
	return words
}

// Generate returns a valid step from numbers that draw chooses, each from low to
// high inclusive. Property tests and fuzzers use it: it can return every step that
// a schedule with this setup may have.
func Generate(s *Setup, at time.Duration, draw func(what string, low, high int) int) Step {
	g := generator{s, draw}
	step := Step{At: at, Do: actions[draw("action", 0, len(actions)-1)]}
	step.Do.arguments.generate(&step, g)
	if draw("once", 0, 1) == 1 {
		step.Once = Trigger(draw("trigger", 1, int(triggers)-1))
		step.Of = g.partition("of")
	}
	if draw("later", 0, 1) == 1 {
		step.After = g.duration("after")
	}
	if step.Do.Lasts && draw("lasts", 0, 1) == 1 {
		step.For = g.duration("for")
	}
	return step
}

type generator struct {
	setup *Setup
	draw  func(what string, low, high int) int
}

func (g generator) partition(what string) int { return g.draw(what, 0, g.setup.Partitions-1) }

// duration draws a duration from a nanosecond to a minute.
func (g generator) duration(what string) time.Duration {
	return time.Duration(g.draw(what, 1, int(time.Minute)))
}

func (g generator) target() Target {
	if role := Role(g.draw("role", 0, int(roles)-1)); role != ByNumber {
		return Target{Role: role, Partition: g.partition("partition")}
	}
	return Target{Node: g.draw("node", 1, g.setup.Hosts())}
}

// targets draws one to most distinct targets.
func (g generator) targets(most int) []Target {
	var targets []Target
	for range g.draw("targets", 1, most) {
		if target := g.target(); !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets
}
