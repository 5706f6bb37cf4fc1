package main

import (
	"os"
	"sync"
	"time"

	"dkv/sim"
)

// chunkSeeds is the number of seeds that one start of dkvsim runs at most. The
// runs of a chunk follow each other, on one core.
const chunkSeeds = 40

// hunted runs a range of seeds of a profile in one start of dkvsim, until a class
// fires that is awaited.
func (h *hunt) hunted(binary, profile string, awaited []sim.Class, from, to int) (meeting, error) {
	return h.campaign(h.limit, h.jobs, binary, profile, awaited, from, to)
}

// A stretch is one range of seeds in which a mutant is hunted, chunk by chunk.
type stretch struct {
	from, to int
	chunks   []chunk // that have begun, by their seeds
	spent    time.Duration
}

type chunk struct {
	met   meeting
	ended bool
}

// verdict returns what became of the range, as one campaign from its first seed
// on would tell it: chunks behind the one that caught the mutant do not count.
// Not known: a chunk that decides it has not ended.
func (s *stretch) verdict() (met meeting, known bool) {
	for i := range s.chunks {
		c := s.chunks[i]
		if !c.ended {
			return meeting{}, false
		}
		met.reached.add(&c.met.reached)
		if c.met.seed != 0 || c.met.late {
			c.met.reached = met.reached
			return c.met, true
		}
		met.fired = union(met.fired, c.met.fired)
	}
	return met, !s.more()
}

// more reports whether there are seeds that no chunk has.
func (s *stretch) more() bool { return s.next() <= s.to }

func (s *stretch) next() int { return s.from + len(s.chunks)*chunkSeeds }

// A pursuit is the hunt of one mutant.
type pursuit struct {
	m         *mutant
	binary    string // "" until it is built
	err       error
	ranges    []stretch
	caught    catches
	workers   int // that build it, run it, or conclude
	begun     bool
	decided   bool
	concluded bool
}

// decide sums up the ranges once their verdicts are known: up to the first that
// the mutant survives, as if one had followed the other.
func (p *pursuit) decide() {
	if p.decided || p.binary == "" && p.err == nil {
		return
	}
	var caught catches
	for i := range p.ranges {
		met, known := p.ranges[i].verdict()
		if !known && p.err == nil {
			return
		}
		if caught.add(met, p.ranges[i].from); met.seed == 0 {
			break
		}
	}
	caught.took = p.caught.took
	p.caught, p.decided = caught, true
}

// A pack hunts several mutants at once, with one core for each worker. A worker
// that finds no mutant for itself takes a further range, or chunk, of one that
// others hunt: a mutant that is slow to be caught leaves no core idle.
type pack struct {
	h        *hunt
	pursuits []*pursuit

	mu      sync.Mutex
	changed *sync.Cond
	printed int
	print   func(*pursuit)
}

// hunt hunts all mutants, and prints each when those before it are printed.
func (k *pack) hunt() {
	k.changed = sync.NewCond(&k.mu)
	var workers sync.WaitGroup
	for range k.h.jobs {
		workers.Go(k.work)
	}
	workers.Wait()
}

func (k *pack) work() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.printed < len(k.pursuits) {
		p, do := k.take()
		if do == nil {
			k.changed.Wait()
			continue
		}
		p.workers++
		k.mu.Unlock()
		begun := time.Now()
		done := do()
		k.mu.Lock()
		done()
		p.workers--
		if !p.concluded {
			p.caught.took += time.Since(begun)
		}
		p.decide()
		for k.printed < len(k.pursuits) && k.pursuits[k.printed].concluded && k.pursuits[k.printed].workers == 0 {
			k.print(k.pursuits[k.printed])
			k.printed++
		}
		k.changed.Broadcast()
	}
}

// take returns what a worker does next, nil if it has to wait. What is returned
// returns, in its turn, how its result is kept.
func (k *pack) take() (*pursuit, func() (done func())) {
	open := 0
	for _, p := range k.pursuits[k.printed:] {
		switch {
		case p.concluded || p.workers > 0:
		case p.decided:
			return p, func() func() { return k.conclude(p) }
		case p.begun:
			if do := k.chunk(p, false); do != nil {
				return p, do
			}
		}
		if p.begun && !p.concluded {
			open++
		}
	}
	for _, p := range k.pursuits[k.printed:] {
		if !p.begun && open <= k.h.jobs {
			p.begun = true
			return p, func() func() { return k.build(p) }
		}
	}
	for _, shared := range []bool{false, true} {
		for _, p := range k.pursuits[k.printed:] {
			if p.decided || p.binary == "" {
				continue
			}
			if do := k.chunk(p, shared); do != nil {
				return p, do
			}
		}
	}
	return nil, nil
}

func (k *pack) build(p *pursuit) func() {
	binary, err := k.h.plant(p.m, campaigner)
	return func() { p.binary, p.err = binary, err }
}

// chunk returns how the next chunk of a mutant is run, nil if all are taken; shared:
// also of a range of which another chunk is under way.
func (k *pack) chunk(p *pursuit, shared bool) func() func() {
	for i := range p.ranges {
		s := &p.ranges[i]
		met, known := s.verdict()
		if known && met.seed == 0 {
			return nil // survived: the ranges behind do not count
		}
		if known || !s.more() || !shared && len(s.chunks) > 0 && !s.chunks[len(s.chunks)-1].ended {
			continue
		}
		n, from, left := len(s.chunks), s.next(), max(time.Millisecond, k.h.limit-s.spent)
		s.chunks = append(s.chunks, chunk{})
		return func() func() {
			begun := time.Now()
			met, err := k.h.campaign(left, 1, p.binary, p.m.profile, p.m.oracles, from, min(from+chunkSeeds-1, s.to))
			return func() {
				s.spent += time.Since(begun)
				s.chunks[n] = chunk{met, true}
				if err != nil && p.err == nil {
					p.err = err
				}
			}
		}
	}
	return nil
}

// conclude runs the seeds that caught a mutant without it, and shrinks the first
// if that is asked for.
func (k *pack) conclude(p *pursuit) func() {
	err, shrunk := p.err, ""
	if err == nil {
		err = k.h.passUnplanted(p.m.profile, p.caught.at)
	}
	if err == nil && k.h.shrink && len(p.caught.at) > 0 {
		shrunk, err = k.h.minimised(p.binary, p.m.profile, p.caught.at[0])
	}
	if p.binary != "" {
		os.Remove(p.binary)
	}
	return func() { p.err, p.caught.shrunk, p.concluded = err, shrunk, true }
}
