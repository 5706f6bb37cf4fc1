package ring

import "fmt"

// Rule says how partitions choose their owners. All members of a cluster have to
// place by one rule, or they would move data against each other.
type Rule struct {
	Version int   // 1 or 2; doc.go describes both
	Zones   Zones // of version 2; version 1 has no choice
}

// Zones says what prevails where the spread over zones and the bound of the
// load contradict each other.
type Zones string

const (
	// Strict keeps the limit on replicas in one zone, and shares the load by
	// weight within what that leaves.
	Strict Zones = "strict"
	// Prefer keeps the bounds by weight, and the limit on replicas in one zone
	// for as many partitions as they allow.
	Prefer Zones = "prefer"
)

// Latest is the rule of a new cluster.
var Latest = Rule{Version: 2, Zones: Strict}

// Validate returns an error that says what is wrong with a rule.
func (rule Rule) Validate() error {
	switch {
	case rule.Version < 1 || rule.Version > 2:
		return fmt.Errorf("version %d of the ring's rule, this build knows 1 and 2", rule.Version)
	case rule.Version == 2 && rule.Zones != Strict && rule.Zones != Prefer:
		return fmt.Errorf("zones mode %q, want %q or %q", rule.Zones, Strict, Prefer)
	}
	return nil
}

func (rule Rule) String() string {
	if rule.Version == 1 {
		return "1"
	}
	return fmt.Sprintf("%d with zones=%s", rule.Version, rule.Zones)
}
