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

// gossip is a process with a clock that beats to its peers, in an order that
// one of two vices may decide.
type gossip struct {
	env    node.Env
	peers  map[node.MemberNumber]door.Peer
	beats  uint64
	due    bool
	ranges bool    // over the map of its peers
	stream *uint64 // shared by all processes of all runs; nil: none
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
		// order-free: it is not, which is what the test is about.
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

// gossipRun runs three of them for two seconds.
func gossipRun(vice gossip) func(steps io.Writer) (uint64, error) {
	return func(steps io.Writer) (uint64, error) {
		w, err := world.New(world.Config{Seed: 7, Steps: steps, NewProcess: func(host int, _ node.Config, env node.Env) (world.Process, error) {
			p := vice
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

// TestPlantedNondeterminismIsFoundAndNamed: a range over a map, and a stream of
// random numbers that two runs share, make runs differ; the error names the
// step and shows both.
func TestPlantedNondeterminismIsFoundAndNamed(t *testing.T) {
	if err := compareTwo(gossipRun(gossip{})); err != nil {
		t.Fatalf("without a vice: %v", err)
	}
	stream := uint64(1)
	for name, vice := range map[string]gossip{"map range": {ranges: true}, "shared stream": {stream: &stream}} {
		err := compareTwo(gossipRun(vice))
		if !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := firstDifferent.FindStringSubmatch(err.Error())
		if found == nil || found[2] == found[3] {
			t.Errorf("%s: no step is named with two lines: %v", name, err)
			continue
		}
		if step, _ := strconv.Atoi(found[1]); step < 1 || step > 400 {
			t.Errorf("%s: step %s is not where the runs part", name, found[1])
		}
		for _, line := range found[2:] {
			if !strings.Contains(line, " n") || !strings.Contains(line, "sequence=") {
				t.Errorf("%s: the line %q does not say who did what", name, line)
			}
		}
		t.Logf("%s: %v", name, err)
	}
}
