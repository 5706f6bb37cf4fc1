package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/linearizability"
)

// Class is the kind of promise that a violation breaks.
type Class string

// The classes, worst first: the order in which a run lists them.
const (
	Linearizability Class = "L" // no order of a key's operations explains the answers
	Durability      Class = "D" // an acknowledged write is lost
	RefusedSeen     Class = "R" // a refused write took effect
	Invariant       Class = "I" // a step broke an invariant of the protocol
	Assertion       Class = "A" // a failed assertion, a panic, or a failure without a reason
	Convergence     Class = "C" // replicas differ after everything was healed
	Progress        Class = "V" // a request that must be answered was not
	Bounds          Class = "B" // something leaks, or exceeds its bound: the answers are right, for now
)

// Classes lists all classes, worst first.
var Classes = []Class{Linearizability, Durability, RefusedSeen, Invariant, Assertion, Convergence, Progress, Bounds}

// Violation is one violation of a promise.
type Violation struct {
	Class Class
	At    time.Duration
	Step  uint64
	What  string // the contradiction in one sentence
	// Operations are those that show the violation, if a System's Check names them.
	Operations []*linearizability.Operation
}

func (v Violation) String() string {
	return fmt.Sprintf("%s at %v (step %d): %s", v.Class, v.At, v.Step, v.What)
}

// maxPerClass bounds the violations of one class that a run keeps: most of the
// later ones are consequences of the first.
const maxPerClass = 4

// verdict collects a run's violations.
type verdict struct {
	where      func() (at time.Duration, step uint64)
	violations []Violation
	kept       [len("LDRIACVB")]int
}

func (v *verdict) broken(c Class, format string, args ...any) {
	if i := slices.Index(Classes, c); v.kept[i] < maxPerClass {
		v.add(Violation{Class: c, What: fmt.Sprintf(format, args...)})
	}
}

// add records a violation with the current time and step, unless there are enough
// of its class.
func (v *verdict) add(found Violation) {
	i := slices.Index(Classes, found.Class)
	if v.kept[i] == maxPerClass {
		return
	}
	v.kept[i]++
	found.At, found.Step = v.where()
	v.violations = append(v.violations, found)
}

// classes lists the classes of the violations, each once, worst first.
func (v *verdict) classes() []Class { return firedOf(v.kept[:]) }

// firedOf lists the classes with a positive count, worst first.
func firedOf(counts []int) []Class {
	var fired []Class
	for i, c := range Classes {
		if counts[i] > 0 {
			fired = append(fired, c)
		}
	}
	return fired
}

func joinClasses(list []Class) string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = string(c)
	}
	return strings.Join(words, ",")
}

// ParseClasses parses a list such as "D,L".
func ParseClasses(text string) ([]Class, error) {
	var list []Class
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(Classes, Class(word)) {
			return nil, fmt.Errorf("unknown class %q (want one of %s)", word, joinClasses(Classes))
		}
		list = append(list, Class(word))
	}
	return list, nil
}
