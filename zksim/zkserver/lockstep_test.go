package zkserver

import (
	"cmp"
	"flag"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dkv/zksim/zktree"
)

var (
	lockstepSteps = flag.Int("lockstep.steps", 2000, "about how many operations to compare with a real ZooKeeper")
	lockstepSeed  = flag.Uint64("lockstep.seed", 0, "seed of the operations; 0 takes the time")
)

// stepsOfRun is about how many operations a run has. Each run has a node and sessions
// of its own.
const stepsOfRun = 100

// No session of the lockstep test may expire: its clients send no pings, and on a
// busy machine one may wait for seconds. 20 ticks are the longest timeout.
const (
	lockstepTick    = 3 * time.Second
	lockstepTimeout = 20 * lockstepTick
)

// TestLockstepWithRealZooKeeper draws operations of three sessions and sends them to
// both servers: every reply, stat, zxid, error and event must agree. It shows the
// shortest run that it found in which they differ.
func TestLockstepWithRealZooKeeper(t *testing.T) {
	t.Parallel()
	theirs := startZK(t, lockstepTick, sweepsNever).addr
	ours := NewTestWith(t, Options{Tick: lockstepTick, ContainerInterval: sweepsNever}).Address()
	seed := *lockstepSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for name, value := range map[string]string{
		"rapid.seed": strconv.FormatUint(seed, 10), "rapid.steps": strconv.Itoa(stepsOfRun),
		"rapid.checks": strconv.Itoa(max(1, *lockstepSteps/stepsOfRun)), "rapid.nofailfile": "true",
	} {
		must(t, flag.Set(name, value))
	}
	runs, steps := 0, 0
	began := time.Now()
	kinds := make(map[stepKind]int)
	rapid.Check(t, func(t *rapid.T) {
		runs++
		root := fmt.Sprintf("/run%d", runs)
		real, our := newSide(t, "ZooKeeper", theirs, root), newSide(t, "zkserver", ours, root)
		t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) {
			st := rapid.Custom(func(t *rapid.T) step { return drawStep(dice{t}, root) }).Draw(t, "step")
			steps++
			kinds[st.kind]++
			want, got := real.take(t, &st), our.take(t, &st)
			if !slices.Equal(want, got) {
				t.Logf("-lockstep.seed=%d -lockstep.steps=%d, %v\nZooKeeper: %q\n     ours: %q", seed, *lockstepSteps, st, want, got)
				t.Fatal("the two servers differ") // always the same text, or rapid would not shrink the run
			}
		}})
	})
	t.Logf("seed %d: %d steps in %d runs agree, in %v; %v", seed, steps, runs, time.Since(began).Round(time.Millisecond), kinds)
}

// side is one of two servers that get the same operations.
type side struct {
	name    string
	addr    string
	clients [3]*wireClient
	names   map[int64]string        // of sessions, by the order in which they began
	base    int64                   // zxid before the first operation
	asked   map[string][]zktree.ACL // by path: the list last asked for, before its expansion
}

// newSide begins a session without identity, one of u and one of v.
func newSide(t *rapid.T, name, addr, root string) *side {
	s := &side{name: name, addr: addr, names: map[int64]string{0: "none"}, asked: map[string][]zktree.ACL{}}
	for i := range s.clients {
		s.connect(t, i)
	}
	if o := s.clients[0].create(root, "", 0); o.Err != zktree.OK {
		t.Fatal(o.Err)
	}
	s.base = s.clients[2].exists("/", false).Zxid
	return s
}

func (s *side) connect(t *rapid.T, i int) {
	s.clients[i] = newSession(t, s.addr, lockstepTimeout)
	s.names[s.clients[i].session] = fmt.Sprintf("session %d", len(s.names))
	s.identify(i)
}

func (s *side) identify(i int) {
	if i > 0 {
		s.clients[i].auth("digest", lockstepUsers[i-1]+":p")
	}
}

// reconnect moves a session to a new connection.
func (s *side) reconnect(t *rapid.T, i int) {
	c := s.clients[i]
	again, err := hello(t, s.addr, lockstepTimeout, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattaching session %d to %s: %v", i, s.name, err)
	}
	s.awaitClose(t, i)
	again.events = c.events // those that came before the old connection was closed
	s.clients[i] = again
	s.identify(i)
}

// awaitClose waits until the server has closed the connection of client i.
//
// After a failed proof of an identity, a session must not be reattached earlier:
// ZooKeeper closes that connection in the background, and then removes the entry of
// its session from the table of connections, even if the entry is the new
// connection's by now. That one would never be closed when the session moves again.
func (s *side) awaitClose(t *rapid.T, i int) {
	if err := s.clients[i].awaitClose(); err != nil {
		t.Fatalf("waiting for %s to close the connection of client %d: %v", s.name, i, err)
	}
}

// view returns an outcome as text, without what differs between any two servers:
// times, the first zxid, the numbers of sessions, the order of children.
func (s *side) view(o outcome) string {
	if o.Zxid > 0 { // the answer to auth has 0
		o.Zxid -= s.base
	}
	slices.Sort(o.Names)
	for i := range o.Ops {
		s.normalize(&o.Ops[i].Stat)
	}
	for i := range o.Reads {
		s.normalize(&o.Reads[i].Stat)
	}
	owner := s.names[o.Stat.EphemeralOwner]
	s.normalize(&o.Stat)
	return fmt.Sprintf("%+v owner %s", o, owner)
}

func (s *side) normalize(st *zktree.Stat) {
	for _, z := range []*int64{&st.Czxid, &st.Mzxid, &st.Pzxid} {
		if *z != 0 {
			*z -= s.base
		}
	}
	st.Ctime, st.Mtime, st.EphemeralOwner = 0, 0, 0
}

// take does a step and returns everything that came of it, including the events to all
// sessions.
func (s *side) take(t *rapid.T, st *step) (shown []string) {
	t.Helper()
	c := s.clients[st.client]
	switch st.kind {
	case stepReconnect:
		s.reconnect(t, st.client)
	case stepEnd:
		c.close()
		s.awaitClose(t, st.client)
		shown = append(shown, fmt.Sprintf("events at the end: %v", st.inOrder(c.keptEvents())))
		s.connect(t, st.client)
	case stepBadAuth:
		o := c.auth("nonsense", "x")
		shown = append(shown, s.view(outcome{Zxid: o.Zxid, Err: o.Err}))
		s.awaitClose(t, st.client)
		s.reconnect(t, st.client)
	default:
		o := c.ask(st)
		s.remember(st, o)
		sortExpanded(o.ACL, s.asked[st.path])
		shown = append(shown, s.view(o))
	}
	for i, c := range s.clients {
		shown = append(shown, fmt.Sprintf("events of client %d: %v", i, st.inOrder(c.takeEvents())))
	}
	return shown
}

// remember records the access lists that a successful step asked for.
func (s *side) remember(st *step, o outcome) {
	if o.Err != zktree.OK {
		return
	}
	switch st.kind {
	case stepWrite:
		s.rememberOp(&st.op, o.Path)
	case stepMulti:
		for i := range o.Ops {
			if o.Ops[i].Code != -1 { // the code of an operation that failed
				s.rememberOp(&st.ops[i], o.Ops[i].Path)
			}
		}
	}
}

func (s *side) rememberOp(op *zktree.Op, created string) {
	switch op.Code {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
		s.asked[created] = op.ACL
	case zktree.OpSetACL:
		s.asked[op.Path] = op.ACL
	}
}

// sortExpanded sorts, within a node's access list, the entries that stand for
// one entry of scheme "auth" in the list asked for. ZooKeeper keeps a
// connection's identities in a hash set and expands them in its order, which is
// not specified. All other entries stay where they are.
func sortExpanded(list, asked []zktree.ACL) {
	var unique []zktree.ACL // a server drops repeated entries before it expands
	expanded := 0           // entries of scheme "auth" in unique
	for _, a := range asked {
		if slices.Contains(unique, a) {
			continue
		}
		unique = append(unique, a)
		if a.Scheme == "auth" {
			expanded++
		}
	}
	plain := len(unique) - expanded
	if expanded == 0 || len(list) < plain || (len(list)-plain)%expanded != 0 {
		return // nothing to sort, or a list that cannot come from this request: the comparison shows it
	}
	identities := (len(list) - plain) / expanded
	at := 0
	for _, a := range unique {
		if a.Scheme != "auth" {
			at++
			continue
		}
		slices.SortFunc(list[at:at+identities], func(a, b zktree.ACL) int { return cmp.Compare(a.ID, b.ID) })
		at += identities
	}
}

// TestSortExpanded sorts only what stands for one entry of scheme "auth".
func TestSortExpanded(t *testing.T) {
	u, v := zktree.ACL{Perms: 31, Scheme: "digest", ID: "u"}, zktree.ACL{Perms: 31, Scheme: "digest", ID: "v"}
	auth := zktree.ACL{Perms: 31, Scheme: "auth"}
	for name, c := range map[string]struct{ asked, list, want []zktree.ACL }{
		"one":        {[]zktree.ACL{auth}, []zktree.ACL{v, u}, []zktree.ACL{u, v}},
		"repeated":   {[]zktree.ACL{auth, auth}, []zktree.ACL{v, u}, []zktree.ACL{u, v}},
		"between":    {[]zktree.ACL{v, auth, u}, []zktree.ACL{v, v, u, u}, []zktree.ACL{v, u, v, u}},
		"none":       {[]zktree.ACL{v, u}, []zktree.ACL{v, u}, []zktree.ACL{v, u}},
		"impossible": {[]zktree.ACL{v, auth}, nil, nil},
	} {
		if sortExpanded(c.list, c.asked); !slices.Equal(c.list, c.want) {
			t.Errorf("%s: %v, want %v", name, c.list, c.want)
		}
	}
}

// ask does a step of one request.
func (c *wireClient) ask(st *step) outcome {
	switch st.kind {
	case stepWrite:
		return c.write(st.op)
	case stepMulti:
		return c.multi(st.ops...)
	case stepRead:
		return c.read(st.number, st.path, st.watch)
	case stepMultiRead:
		return c.multiRead(st.reads...)
	case stepGetACL:
		return c.aclOf(st.path)
	case stepSetWatches:
		return c.setWatches(max(0, c.lastZxid-st.since), st.watches)
	case stepSetWatches2:
		return c.setWatches2(max(0, c.lastZxid-st.since), st.watches)
	case stepAddWatch:
		return c.addWatch(st.path, st.number)
	case stepCheckWatches:
		return c.onWatcher(wireCheckWatches, st.path, st.number)
	case stepRemoveWatches:
		return c.onWatcher(wireRemoveWatches, st.path, st.number)
	case stepEphemerals:
		return c.ephemeralsBelow(st.path)
	case stepCount:
		return c.countAll(st.path)
	case stepWhoAmI:
		return c.whoAmI()
	case stepAuth:
		r := c.auth("digest", st.path)
		return outcome{Zxid: r.Zxid, Err: r.Err}
	}
	panic("a step of an unknown kind: " + st.kind)
}

// inOrder sorts the events of a session's end, since the order in which its ephemerals
// are removed is not specified. It leaves all others as they came.
func (st *step) inOrder(events []zktree.Event) []zktree.Event {
	if st.kind == stepEnd {
		slices.SortFunc(events, func(a, b zktree.Event) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type))
		})
	}
	return events
}

// step is one operation, the same on both sides.
type step struct {
	client  int
	kind    stepKind
	op      zktree.Op
	ops     []zktree.Op
	reads   []partRead
	path    string
	number  int32 // the kind of read, mode of watch or kind of watcher
	watch   bool
	since   int64 // how far before the present zxid
	watches watchLists
}

// String returns the step without the fields that its kind does not use.
func (st step) String() string {
	head := fmt.Sprintf("client %d: %s", st.client, st.kind)
	switch st.kind {
	case stepWrite:
		return fmt.Sprintf("%s %+v", head, st.op)
	case stepMulti:
		return fmt.Sprintf("%s %+v", head, st.ops)
	case stepMultiRead:
		return fmt.Sprintf("%s %+v", head, st.reads)
	case stepSetWatches, stepSetWatches2:
		return fmt.Sprintf("%s of %d zxids ago: %+v", head, st.since, st.watches)
	case stepEnd, stepReconnect, stepBadAuth, stepWhoAmI:
		return head
	}
	return fmt.Sprintf("%s %q number %d watch %v", head, st.path, st.number, st.watch)
}

// GoString is what rapid prints.
func (st step) GoString() string { return st.String() }

type stepKind string

const (
	stepWrite         stepKind = "write"
	stepMulti         stepKind = "multi"
	stepRead          stepKind = "read"
	stepMultiRead     stepKind = "multiRead"
	stepGetACL        stepKind = "getACL"
	stepSetWatches    stepKind = "setWatches"
	stepSetWatches2   stepKind = "setWatches2"
	stepAddWatch      stepKind = "addWatch"
	stepCheckWatches  stepKind = "checkWatches"
	stepRemoveWatches stepKind = "removeWatches"
	stepEphemerals    stepKind = "getEphemerals"
	stepCount         stepKind = "getAllChildrenNumber"
	stepWhoAmI        stepKind = "whoAmI"
	stepAuth          stepKind = "auth"
	stepBadAuth       stepKind = "bad auth"
	stepReconnect     stepKind = "reconnect"
	stepEnd           stepKind = "end of session"
)

// lockstepUsers are the users of sessions 1 and 2.
var lockstepUsers = [...]string{"u", "v"}

// stepWeights says how often each kind is drawn.
var stepWeights = []struct {
	kind   stepKind
	weight int
}{
	{stepWrite, 44}, {stepMulti, 14}, {stepRead, 18}, {stepAddWatch, 6}, {stepSetWatches, 3}, {stepSetWatches2, 3}, {stepCheckWatches, 3},
	{stepRemoveWatches, 3}, {stepMultiRead, 4}, {stepGetACL, 4}, {stepEphemerals, 2}, {stepCount, 2}, {stepWhoAmI, 1}, {stepAuth, 2},
	{stepBadAuth, 1}, {stepReconnect, 3}, {stepEnd, 2},
}

// dice draws uniformly: rapid's own integers favour small ones.
type dice struct{ t *rapid.T }

var coin = rapid.Bool()

// below draws a number from 0 to n-1.
func (d dice) below(n int) int {
	throw := 0
	for range bits.Len(uint(n-1)) + 3 {
		throw <<= 1
		if coin.Draw(d.t, "") {
			throw |= 1
		}
	}
	return throw % n
}

func oneOf[T any](d dice, list ...T) T { return list[d.below(len(list))] }

func drawKind(d dice) stepKind {
	total := 0
	for _, w := range stepWeights {
		total += w.weight
	}
	at := d.below(total)
	for _, w := range stepWeights {
		if at -= w.weight; at < 0 {
			return w.kind
		}
	}
	panic("weights do not add up")
}

func drawStep(d dice, root string) step {
	st := step{kind: drawKind(d), client: d.below(3)}
	switch st.kind {
	case stepWrite:
		st.op = drawWrite(d, root)
	case stepMulti:
		for range d.below(5) {
			st.ops = append(st.ops, drawPart(d, root))
		}
	case stepMultiRead:
		for range d.below(4) {
			st.reads = append(st.reads, partRead{oneOf[int32](d, opGetData, opGetChildren), drawPath(d, root), d.below(2) == 0})
		}
	case stepRead:
		st.number = oneOf[int32](d, opExists, opGetData, opGetChildren, opChildren2)
		st.path, st.watch = drawReadPath(d, root), d.below(2) == 0
	case stepAddWatch:
		st.path, st.number = drawReadPath(d, root), oneOf[int32](d, watchPersistent, watchRecursive)
	case stepCheckWatches, stepRemoveWatches:
		st.path, st.number = drawPath(d, root), oneOf[int32](d, wireOfChildren, wireOfData, wireOfEither)
	case stepGetACL, stepCount, stepEphemerals:
		st.path = drawReadPath(d, root)
	case stepAuth:
		st.path = oneOf(d, "u:p", "v:p", "w:p", "u:other", "odd")
	case stepSetWatches, stepSetWatches2:
		st.since = int64(d.below(30))
		st.watches = drawWatches(d, root)
	}
	return st
}

func drawWatches(d dice, root string) (w watchLists) {
	for _, list := range []*[]string{&w.Data, &w.Exist, &w.Child, &w.Persistent, &w.Recursive} {
		for range d.below(3) {
			if p := drawPath(d, root); !slices.Contains(*list, p) {
				*list = append(*list, p)
			}
		}
	}
	return w
}

func drawPath(d dice, root string) string {
	return root + oneOf(d, "/a", "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/e/s0000000001", "/g")
}

func drawReadPath(d dice, root string) string {
	if d.below(8) == 0 {
		return oneOf(d, root, "/", "/zookeeper", root+"/a/", root+"/", root+"/\x00", "bad", "")
	}
	return drawPath(d, root)
}

// drawPart draws an operation of a multi: a write or a check.
func drawPart(d dice, root string) zktree.Op {
	op := drawWrite(d, root)
	if op.Code == zktree.OpSetACL {
		op.Code = zktree.OpCheck
	}
	return op
}

func drawWrite(d dice, root string) zktree.Op {
	op := zktree.Op{Path: drawPath(d, root), Version: int32(d.below(4)) - 1}
	op.Code = oneOf(d, zktree.OpCreate, zktree.OpCreate, zktree.OpCreate, zktree.OpCreate2, zktree.OpSetData, zktree.OpSetData, zktree.OpDelete,
		zktree.OpDelete, zktree.OpSetACL, zktree.OpContainer, zktree.OpCreateTTL)
	odd := d.below(25) == 0
	switch op.Code {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
		op.ACL = drawACL(d, 4)
		drawKindOfNode(d, &op)
		if odd {
			op.Path = oneOf(d, "/", "/zookeeper", "bad", root+"/a/", root+"/a//b", root+"/a/\x01", root+"/a/.", "", root+"/\U0001F600", root)
		}
	case zktree.OpSetACL:
		op.ACL = drawACL(d, 1)
		if odd {
			op.Path = oneOf(d, "bad", root+"/a/", root+"/no/x", "")
		}
	case zktree.OpDelete:
		if odd {
			op.Path = oneOf(d, "/", "/zookeeper", "/zookeeper/quota", root+"/a/", "bad")
		}
	}
	if d.below(3) > 0 {
		op.Data = make([]byte, d.below(5))
	}
	return op
}

// drawKindOfNode draws flags, which mostly suit the operation.
func drawKindOfNode(d dice, op *zktree.Op) {
	op.Flags = zktree.CreateFlags(d.below(4))
	if d.below(8) == 0 {
		op.Flags = zktree.CreateFlags(d.below(9) - 1)
	}
	switch op.Code {
	case zktree.OpContainer:
		if d.below(8) > 0 {
			op.Flags = flagContainer
		}
	case zktree.OpCreateTTL:
		if d.below(8) > 0 {
			op.Flags = oneOf(d, flagTTL, flagSequentialTTL)
		}
		op.TTL = oneOf(d, time.Hour, time.Hour, time.Hour, mostTTL, 0, mostTTL+time.Millisecond)
	}
}

// drawACL draws a list other than the open one in one of often cases.
func drawACL(d dice, often int) []zktree.ACL {
	if d.below(often) > 0 {
		return nil
	}
	list := []zktree.ACL{}
	for range d.below(4) {
		perms := int32(d.below(32))
		if d.below(2) == 0 {
			perms = zktree.PermAll
		}
		list = append(list, oneOf(d, aclWorld(perms), aclWorld(perms), aclFor(perms, "u"), aclFor(perms, "u"), aclFor(perms, "v"), aclAuth(perms),
			aclIP(perms, "127.0.0.0/8"), aclIP(perms, "10.0.0.1"), zktree.ACL{Perms: perms, Scheme: oneOf(d, "digest", "nonsense", "world"), ID: "odd"}))
	}
	return list
}
