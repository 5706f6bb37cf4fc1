package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/linearizability"
)

// Class says which kind of promise a run saw broken.
type Class string

// The classes, worst first: the order in which a run lists them.
const (
	Linearizability Class = "L" // no order of a key's operations explains the answers
	Durability      Class = "D" // an acknowledged write is not there at the end
	RefusedSeen     Class = "R" // a write that was refused took effect
	Invariant       Class = "I" // a rule of the protocol was broken in some step
	Assertion       Class = "A" // the core's own assertion, a panic, a failure without a reason
	Convergence     Class = "C" // healed replicas differ
	Progress        Class = "V" // who should have been answered was not
)

// Classes lists all of them in their order.
var Classes = []Class{Linearizability, Durability, RefusedSeen, Invariant, Assertion, Convergence, Progress}

// Violation is one broken promise.
type Violation struct {
	Class Class
	At    time.Duration
	Step  uint64
	What  string // the contradiction in one sentence
	// Operations that show it, if a System says which.
	Operations []*linearizability.Operation
}

func (v Violation) String() string {
	return fmt.Sprintf("%s at %v (step %d): %s", v.Class, v.At, v.Step, v.What)
}

// maxPerClass bounds the violations of one class that a run keeps. What comes
// after a broken promise is mostly its consequence.
const maxPerClass = 4

// verdict gathers a run's violations.
type verdict struct {
	where      func() (at time.Duration, step uint64)
	violations []Violation
	kept       [len("LDRIACV")]int
}

func (v *verdict) broken(c Class, format string, args ...any) {
	if i := slices.Index(Classes, c); v.kept[i] < maxPerClass {
		v.add(Violation{Class: c, What: fmt.Sprintf(format, args...)})
	}
}

// add takes a violation of now, unless there are enough of its class.
func (v *verdict) add(found Violation) {
	i := slices.Index(Classes, found.Class)
	if v.kept[i] == maxPerClass {
		return
	}
	v.kept[i]++
	found.At, found.Step = v.where()
	v.violations = append(v.violations, found)
}

// classes lists each class that fired once, in the order of Classes.
func (v *verdict) classes() []Class { return firedOf(v.kept[:]) }

// firedOf lists the classes that are counted, in the order of Classes.
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

// ParseClasses reads a list such as "D,L".
func ParseClasses(text string) ([]Class, error) {
	var list []Class
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(Classes, Class(word)) {
			return nil, fmt.Errorf("class %q is none of %s", word, joinClasses(Classes))
		}
		list = append(list, Class(word))
	}
	return list, nil
}
