package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/linearizability"
)

// Call is one operation that a schedule lists for a client, with its time. Its
// line reads
//
//	at 3.2s client 2 put k1 if-absent at n3
//
// The run chooses the value of a put, so that each value identifies its write.
type Call struct {
	At     time.Duration
	Client int
	Kind   linearizability.Kind
	Key    string
	// IfAbsent makes a put conditional on the key's absence; IfMatch makes a put or
	// a delete conditional on the version that the client last saw, and has no
	// effect if it saw none. At most one of them is set.
	IfAbsent, IfMatch bool
	Host              int // gets the request; from 0
}

// Source is where the operations of a run's clients come from.
type Source string

// The sources of a workload.
const (
	Drawn  Source = "drawn"  // drawn from the seed, according to the header
	Listed Source = "listed" // exactly the schedule's calls
)

const (
	MaxCalls    = 20_000 // of a schedule
	maxCallKey  = 128    // bytes
	callWord    = "client"
	wordAbsent  = "if-absent"
	wordMatch   = "if-match"
	wordCallsAt = "at"
)

// String is the call's line.
func (c *Call) String() string {
	words := []string{"at", c.At.String(), callWord, strconv.Itoa(c.Client), c.Kind.String(), c.Key}
	if c.IfAbsent {
		words = append(words, wordAbsent)
	}
	if c.IfMatch {
		words = append(words, wordMatch)
	}
	return strings.Join(append(words, wordCallsAt, HostName(c.Host)), " ")
}

// parseCall parses a call's line after its "at".
func parseCall(words []string, setup *Setup) (Call, error) {
	var c Call
	if len(words) < 7 || words[len(words)-2] != wordCallsAt {
		return c, errors.New("a call is: at TIME client N get|put|delete KEY [if-absent|if-match] at nN")
	}
	err := errors.Join(
		(&durationValue{&c.At, 0}).Set(words[0]),
		(&intValue{&c.Client, 0, MaxClients - 1}).Set(words[2]))
	if err != nil {
		return c, err
	}
	kinds := []linearizability.Kind{linearizability.Get, linearizability.Put, linearizability.Delete}
	i := slices.IndexFunc(kinds, func(k linearizability.Kind) bool { return k.String() == words[3] })
	if i < 0 {
		return c, fmt.Errorf("unknown operation %q (want get, put or delete)", words[3])
	}
	c.Kind, c.Key = kinds[i], words[4]
	if len(c.Key) > maxCallKey {
		return c, fmt.Errorf("key of %d bytes is too long (limit %d)", len(c.Key), maxCallKey)
	}
	if err := c.parseCondition(words[5 : len(words)-2]); err != nil {
		return c, err
	}
	target, err := parseTarget(words[len(words)-1], setup)
	if err == nil && target.Role != ByNumber {
		err = fmt.Errorf("invalid node %v: a call names a node by its number (example: n3)", target)
	}
	c.Host = target.Node - 1
	return c, err
}

func (c *Call) parseCondition(words []string) error {
	switch {
	case len(words) == 0:
	case len(words) == 1 && words[0] == wordAbsent && c.Kind == linearizability.Put:
		c.IfAbsent = true
	case len(words) == 1 && words[0] == wordMatch && c.Kind != linearizability.Get:
		c.IfMatch = true
	default:
		return fmt.Errorf("%v takes no condition %q", c.Kind, strings.Join(words, " "))
	}
	return nil
}

// Spare removes the steps with these indices, which the budget forbade, and the
// budget itself: it allowed all other steps.
func (s *Schedule) Spare(places []int) {
	at := 0
	s.Steps = slices.DeleteFunc(s.Steps, func(Step) bool {
		at++
		return slices.Contains(places, at-1)
	})
	s.Setup.Budget = NoBudget
}

// ByCallTime orders calls by their times.
func ByCallTime(a, b Call) int { return cmp.Compare(a.At, b.At) }
