package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Uneven lists the hosts on which suspect-after lasts longer or shorter than the header
// says, because all nodes have the same and their clocks differ: "n2:300ms,n5:1s". Hosts
// are in order, each at most once. The empty list gives all hosts the same.
type Uneven string

// With appends a host later than those in the list.
func (u Uneven) With(host int, suspectAfter time.Duration) Uneven {
	word := HostName(host) + ":" + suspectAfter.String()
	if u == "" {
		return Uneven(word)
	}
	return u + "," + Uneven(word)
}

// UnevenHost is one host of an Uneven list.
type UnevenHost struct {
	Host         int // from 0
	SuspectAfter time.Duration
}

// List parses the list. The error names the first invalid word.
func (u Uneven) List() ([]UnevenHost, error) {
	if u == "" {
		return nil, nil
	}
	var list []UnevenHost
	for _, word := range strings.Split(string(u), ",") {
		name, text, _ := strings.Cut(word, ":")
		number, named := strings.CutPrefix(name, "n")
		var h UnevenHost
		if err := (&intValue{&h.Host, 1, MaxNodes}).Set(number); !named || err != nil {
			return nil, fmt.Errorf("invalid suspect-after of a host %q (example: n2:300ms)", word)
		}
		if err := (&durationValue{&h.SuspectAfter, time.Millisecond}).Set(text); err != nil {
			return nil, fmt.Errorf("suspect-after of n%d: %w", h.Host, err)
		}
		h.Host--
		if last := len(list) - 1; last >= 0 && h.Host <= list[last].Host {
			return nil, fmt.Errorf("suspect-after of n%d is not in order: it must come after that of n%d", h.Host+1, list[last].Host+1)
		}
		list = append(list, h)
	}
	return list, nil
}

// below returns the list without the hosts from this one on.
func (u Uneven) below(host int) Uneven {
	var kept Uneven
	list, _ := u.List() // the header accepts only what List parses
	for _, h := range list {
		if h.Host < host {
			kept = kept.With(h.Host, h.SuspectAfter)
		}
	}
	return kept
}

// MaxUneven is how many times as fast or as slow as the others an uneven host's clock
// may be.
const MaxUneven = 4

// validateUneven returns an error if the list names a host that does not exist, or a
// clock that is too fast or too slow.
func (s *Setup) validateUneven() error {
	list, err := s.Uneven.List()
	for _, h := range list {
		switch {
		case h.Host >= s.Nodes:
			return fmt.Errorf("suspect-after-of names %s, but there are only %d nodes", HostName(h.Host), s.Nodes)
		case h.SuspectAfter > MaxUneven*s.SuspectAfter || s.SuspectAfter > MaxUneven*h.SuspectAfter:
			return fmt.Errorf("suspect-after-of %s is %v, want at most %d times, and at least one %dth, of the %v of the others",
				HostName(h.Host), h.SuspectAfter, MaxUneven, MaxUneven, s.SuspectAfter)
		}
	}
	return err
}

// ClockPPM returns how much faster than the others' a host's clock runs, in parts per
// million, so that suspect-after lasts there as long as the setup says.
func (s *Setup) ClockPPM(host int) int64 {
	return int64(s.SuspectAfter/time.Microsecond)*1e6/max(1, int64(s.SuspectAfters()[host]/time.Microsecond)) - 1e6
}

// Lasts returns how long a time by a host's own clock lasts, but for drift.
func (s *Setup) Lasts(host int, d time.Duration) time.Duration {
	const million = 1_000_000
	rate := million + time.Duration(s.ClockPPM(host))
	return d/rate*million + d%rate*million/rate
}

// SuspectAfters returns how long suspect-after lasts on each host.
func (s *Setup) SuspectAfters() []time.Duration {
	all := make([]time.Duration, s.Hosts())
	for h := range all {
		all[h] = s.SuspectAfter
	}
	list, _ := s.Uneven.List() // the header accepts only what List parses
	for _, h := range list {
		if h.Host < len(all) {
			all[h.Host] = h.SuspectAfter
		}
	}
	return all
}

type unevenValue Uneven

func (v *unevenValue) String() string {
	if *v == "" {
		return none
	}
	return string(*v)
}

func (v *unevenValue) Set(word string) error {
	if word == none {
		*v = ""
		return nil
	}
	if _, err := Uneven(word).List(); err != nil {
		return err
	}
	*v = unevenValue(word)
	return nil
}
