package zkserver

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dkv/zksim"
)

var (
	lockstepSteps = flag.Int("lockstep.steps", 2000, "operations to compare with a real ZooKeeper")
	lockstepSeed  = flag.Uint64("lockstep.seed", 0, "what the operations are drawn from; 0: the time")
)

// side is one of two servers that are asked the same things.
type side struct {
	addr    string
	clients [3]*wireClient
	names   map[int64]string // sessions by the order of their making
	base    int64            // zxid before the first operation
}

func newSide(t *testing.T, addr string) *side {
	s := &side{addr: addr, names: map[int64]string{0: "none"}}
	for i := range s.clients {
		s.connect(t, i)
	}
	s.base = s.clients[2].exists("/", false).Zxid
	return s
}

func (s *side) connect(t *testing.T, i int) {
	s.clients[i] = newSession(t, s.addr, 4*time.Second)
	s.names[s.clients[i].session] = fmt.Sprintf("session %d", len(s.names))
}

// view is an outcome without what must differ between two servers: times, where
// zxids began, how sessions are numbered, the order of children.
func (s *side) view(o outcome) string {
	o.Zxid -= s.base
	slices.Sort(o.Names)
	for i := range o.Ops {
		s.normalize(&o.Ops[i].Stat)
	}
	owner := s.names[o.Stat.EphemeralOwner]
	s.normalize(&o.Stat)
	return fmt.Sprintf("%+v owner %s", o, owner)
}

func (s *side) normalize(st *zksim.Stat) {
	for _, z := range []*int64{&st.Czxid, &st.Mzxid, &st.Pzxid} {
		if *z != 0 {
			*z -= s.base
		}
	}
	st.Ctime, st.Mtime, st.EphemeralOwner = 0, 0, 0
}

// step is one drawn thing to do, the same on both sides.
type step struct {
	client  int
	kind    int
	op      zksim.Op
	ops     []zksim.Op
	path    string
	watch   bool
	readOp  int32
	since   int64 // before the present zxid
	watches zksim.WatchSet
}

const endOfSession = 98 // kinds from here on close a session and begin another

func drawStep(r *rand.Rand) step {
	st := step{client: r.IntN(3), kind: r.IntN(100), watch: r.IntN(2) == 0, path: drawPath(r), since: r.Int64N(30)}
	st.op = drawWrite(r)
	for range r.IntN(5) {
		st.ops = append(st.ops, drawWrite(r))
	}
	st.readOp = []int32{opExists, opGetData, opGetChildren, opChildren2}[r.IntN(4)]
	for _, list := range []*[]string{&st.watches.Data, &st.watches.Exist, &st.watches.Child} {
		for range r.IntN(3) {
			if p := drawPath(r); !slices.Contains(*list, p) {
				*list = append(*list, p)
			}
		}
	}
	return st
}

func drawPath(r *rand.Rand) string {
	return []string{"/a", "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/e/s0000000001", "/g"}[r.IntN(9)]
}

func drawWrite(r *rand.Rand) zksim.Op {
	op := zksim.Op{Path: drawPath(r), Version: int32(r.IntN(4)) - 1}
	op.Code = []zksim.OpCode{zksim.OpCreate, zksim.OpCreate, zksim.OpCreate, zksim.OpCreate2, zksim.OpSetData, zksim.OpSetData, zksim.OpDelete, zksim.OpDelete}[r.IntN(8)]
	switch op.Code {
	case zksim.OpCreate, zksim.OpCreate2:
		op.Flags = zksim.CreateFlags(r.IntN(4))
		if r.IntN(30) == 0 {
			op.Path = []string{"/", "/zookeeper", "bad", "/a/", "/a//b", "/a/\x01", "/a/.", ""}[r.IntN(8)]
		}
	case zksim.OpDelete:
		if r.IntN(30) == 0 {
			op.Path = []string{"/", "/zookeeper", "/zookeeper/quota", "/a/"}[r.IntN(4)]
		}
	}
	if r.IntN(3) > 0 {
		op.Data = make([]byte, r.IntN(5))
	}
	return op
}

// take does the step and shows all that came of it, events to all sessions
// included.
func (s *side) take(t *testing.T, st step) (shown []string) {
	c := s.clients[st.client]
	switch {
	case st.kind < 45:
		shown = append(shown, s.view(c.write(st.op)))
	case st.kind < 60:
		ops := slices.Clone(st.ops)
		if st.kind%2 == 0 {
			ops = append(ops, zksim.Op{Code: zksim.OpCheck, Path: st.path, Version: st.op.Version})
		}
		shown = append(shown, s.view(c.multi(ops...)))
	case st.kind < 90:
		shown = append(shown, s.view(c.read(st.readOp, st.path, st.watch)))
	case st.kind < 95:
		c.setWatches(max(0, c.lastZxid-st.since), st.watches)
	case st.kind < endOfSession: // the connection breaks, and the session comes back
		c.nc.Close()
		again, err := hello(t, s.addr, 4*time.Second, c.session, c.password, c.lastZxid)
		if err != nil || again.session != c.session {
			t.Fatalf("reattach: %v", err)
		}
		s.clients[st.client] = again
	default:
		c.close()
		s.connect(t, st.client)
	}
	for i, c := range s.clients {
		shown = append(shown, fmt.Sprintf("told client %d: %v", i, st.inOrder(c.takeEvents())))
	}
	return shown
}

// inOrder leaves events as they came, but for those of a session's end: in which
// order its ephemerals go is nowhere specified.
func (st *step) inOrder(events []zksim.Event) []zksim.Event {
	if st.kind >= endOfSession {
		slices.SortFunc(events, func(a, b zksim.Event) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type))
		})
	}
	return events
}

// TestLockstepWithRealZooKeeper draws operations of three sessions and asks both
// servers: every reply, stat, zxid, error and event agrees.
func TestLockstepWithRealZooKeeper(t *testing.T) {
	theirs := newSide(t, startRealZK(t).addr)
	ours := newSide(t, NewTestWith(t, Options{Tick: realTick}).Address())
	seed := *lockstepSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range *lockstepSteps {
		st := drawStep(r)
		want, got := theirs.take(t, st), ours.take(t, st)
		if !slices.Equal(want, got) {
			t.Fatalf("-lockstep.seed=%d, step %d: %+v\nZooKeeper: %q\n     ours: %q", seed, i, st, want, got)
		}
	}
}
