package sim

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/sim/world"
)

// gossip is a process that sends heartbeats to its peers. Each of two flaws makes
// it nondeterministic.
type gossip struct {
	env    node.Env
	peers  map[node.MemberNumber]door.Peer
	beats  uint64
	due    bool
	ranges bool    // sends in the order of a map
	stream *uint64 // if not nil, random numbers that all runs share
}

func (p *gossip) Start()                       { p.tick() }
func (p *gossip) OnMessage(*node.Envelope)     {}
func (p *gossip) OnPeerLost(node.MemberNumber) {}
func (p *gossip) Stop(done func())             { done() }
func (p *gossip) OnRequest(_ door.Request, done func(door.Response)) {
	done(door.Response{Outcome: door.Refused})
}

func (p *gossip) tick() {
	p.beats++
	p.due = true
	pace := 20 * time.Millisecond
	if p.stream != nil {
		*p.stream = *p.stream*6364136223846793005 + 1442695040888963407
		pace += time.Duration(*p.stream >> 50)
	}
	p.env.Clock.After(pace, p.tick)
}

func (p *gossip) EndTurn() {
	if !p.due {
		return
	}
	p.due = false
	send := func(to door.Peer) {
		p.env.Network.Send(to, &node.Envelope{
			From: 1, FromStore: "s", ToStore: "s",
			Body: &node.Beat{Kind: node.BeatHeart, Counter: node.Counter{Boot: 1, Sent: p.beats}},
		})
	}
	if p.ranges {
		// order-free: not at all, and the test checks that this is noticed.
		for _, to := range p.peers {
			send(to)
		}
		return
	}
	for m := range node.MemberNumber(len(p.peers) + 1) {
		if to, ok := p.peers[m+1]; ok {
			send(to)
		}
	}
}

// gossipRun runs three such processes for two seconds.
func gossipRun(flawed gossip) func(steps io.Writer) (uint64, error) {
	return func(steps io.Writer) (uint64, error) {
		w, err := world.New(world.Config{Seed: 7, Steps: steps, NewProcess: func(host int, _ node.Config, env node.Env) (world.Process, error) {
			p := flawed
			p.env, p.peers = env, map[node.MemberNumber]door.Peer{}
			for i := range 3 {
				if i != host {
					m := node.MemberNumber(i + 1)
					p.peers[m] = door.Peer{Number: m, Store: "s", Address: world.PeerAddress(i)}
				}
			}
			return &p, nil
		}})
		if err != nil {
			return 0, err
		}
		for host := range w.Hosts() {
			w.Start(host)
		}
		w.RunUntil(2 * time.Second)
		return w.TraceHash(), nil
	}
}

var firstDifferent = regexp.MustCompile(`(?s)the first difference is step (\d+):\n  first:  (.*)\n  second: (.*)$`)

// A range over a map, and a stream of random numbers that two runs share, make
// runs differ. The error names the first differing step and shows it for both runs.
func TestPlantedNondeterminismIsFoundAndNamed(t *testing.T) {
	if err := compareTwo(gossipRun(gossip{})); err != nil {
		t.Fatalf("without a flaw: %v", err)
	}
	stream := uint64(1)
	for name, flawed := range map[string]gossip{"map range": {ranges: true}, "shared stream": {stream: &stream}} {
		err := compareTwo(gossipRun(flawed))
		if !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := firstDifferent.FindStringSubmatch(err.Error())
		if found == nil || found[2] == found[3] {
			t.Errorf("%s: the error does not show a step of both runs: %v", name, err)
			continue
		}
		if step, _ := strconv.Atoi(found[1]); step < 1 || step > 400 {
			t.Errorf("%s: the runs do not diverge at step %s", name, found[1])
		}
		for _, line := range found[2:] {
			if !strings.Contains(line, " n") || !strings.Contains(line, "sequence=") {
				t.Errorf("%s: the line %q does not name host and event", name, line)
			}
		}
		t.Logf("%s: %v", name, err)
	}
}
