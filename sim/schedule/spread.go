package schedule

import (
	"fmt"
	"strings"
)

// PerHost has a character for each host, in their order; hosts beyond have none. A zone is
// a letter from a to g, or - for none; a weight is a digit from 1 to 9.
type PerHost string

// Zone returns the zone of a host; "" if it has none.
func (p PerHost) Zone(host int) string {
	if host >= len(p) || p[host] == '-' {
		return ""
	}
	return string(p[host])
}

// Weight returns the weight of a host.
func (p PerHost) Weight(host int) int {
	if host >= len(p) {
		return 1
	}
	return int(p[host] - '0')
}

// below returns the list without the hosts from this one on.
func (p PerHost) below(host int) PerHost { return p[:min(host, len(p))] }

type perHostValue struct {
	v       *PerHost
	allowed string
}

func (v *perHostValue) String() string {
	if *v.v == "" {
		return none
	}
	return string(*v.v)
}

func (v *perHostValue) Set(word string) error {
	if word == none {
		*v.v = ""
		return nil
	}
	if len(word) > MaxNodes || strings.Trim(word, v.allowed) != "" {
		return fmt.Errorf("invalid list %q (want a character for each node, of %s)", word, v.allowed)
	}
	*v.v = PerHost(word)
	return nil
}
