package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"

	"github.com/cespare/xxhash/v2"
)

// convergePhase heals everything and waits until the replicas of each partition
// are identical, and those lead whom the ring prefers.
func (r *run) convergePhase() {
	r.note("everything is healed")
	r.options.scene.healed(r.world.Now())
	r.world.HealAll()
	r.faults.setRates(netsim.Rates{})
	r.faults.restartAll()
	r.load.stopped = true
	var differ, kept error
	converged := r.until(r.world.Now()+r.setup.Phases.Converge, func() bool {
		r.faults.restartAll() // who was still on its way down
		if differ = r.difference(); differ == nil {
			kept = r.notHandedBack()
		}
		return differ == nil && kept == nil
	})
	switch {
	case converged || r.aborted:
	case differ == nil:
		r.verdict.broken(Progress, "%v after everything was healed: %v", r.setup.Phases.Converge, kept)
	default:
		r.verdict.broken(Convergence, "%v after everything was healed: %v", r.setup.Phases.Converge, differ)
	}
}

// difference says in what the cluster is not what it has to become.
func (r *run) difference() error {
	if r.system != nil {
		return r.world.AllRun()
	}
	l := r.world.Layout()
	if l == nil {
		return errors.New("no layout was formed")
	}
	status := make([]*node.Status, r.world.Hosts())
	for h := range status {
		if r.world.Ruined(h) {
			continue
		}
		n := r.world.Node(h)
		if n == nil || !r.world.Running(h) {
			return fmt.Errorf("%s is %v", schedule.HostName(h), r.world.State(h))
		}
		if ready, why := n.Ready(); !ready {
			return fmt.Errorf("%s is not ready: %s", schedule.HostName(h), why)
		}
		status[h] = n.Status(false)
		if v := status[h].Layout.Version(); v != l.Version() {
			return fmt.Errorf("%s has layout version %d, ZooKeeper has %d", schedule.HostName(h), v, l.Version())
		}
	}
	for p, part := range l.Partitions() {
		if err := r.partitionDiffers(node.PartitionID(p), part, l, status); err != nil {
			return fmt.Errorf("partition %d in epoch %d: %w", p, part.Epoch, err)
		}
	}
	return nil
}

func (r *run) partitionDiffers(p node.PartitionID, part layout.Partition, l *layout.Layout, status []*node.Status) error {
	if part.Moving() {
		return fmt.Errorf("still moves from %v to %v", part.Replicas, part.Next)
	}
	if want := min(l.Replication(), r.setup.Nodes); len(part.Replicas) != want {
		return fmt.Errorf("has replicas %v, want %d of them", part.Replicas, want)
	}
	var first *node.PartitionStatus
	var firstHost int
	for _, m := range part.Replicas {
		host := r.world.HostOf(m)
		if host == world.NoHost {
			return fmt.Errorf("member %d has no host", m)
		}
		if r.world.Ruined(host) {
			if m == part.Primary {
				return fmt.Errorf("the disk of its primary %s is damaged", schedule.HostName(host))
			}
			continue
		}
		s := partitionStatus(status[host], p)
		switch {
		case s == nil:
			return fmt.Errorf("%s keeps no log of it", schedule.HostName(host))
		case s.Assignment.Epoch != part.Epoch:
			return fmt.Errorf("%s knows epoch %d", schedule.HostName(host), s.Assignment.Epoch)
		case s.Commit != s.Last || s.Applied != s.Last:
			return fmt.Errorf("%s has last %d, commit %d, applied %d", schedule.HostName(host), s.Last, s.Commit, s.Applied)
		case m == part.Primary && s.Role != "primary":
			return fmt.Errorf("its primary %s is %q", schedule.HostName(host), s.Role)
		}
		if first == nil {
			first, firstHost = s, host
			continue
		}
		if s.Last != first.Last || s.LastEpoch != first.LastEpoch {
			return fmt.Errorf("%s ends at (index %d, epoch %d) and %s at (index %d, epoch %d)",
				schedule.HostName(firstHost), first.Last, first.LastEpoch, schedule.HostName(host), s.Last, s.LastEpoch)
		}
		if err := r.stateDiffers(p, firstHost, host); err != nil {
			return err
		}
	}
	return nil
}

func partitionStatus(s *node.Status, p node.PartitionID) *node.PartitionStatus {
	i := slices.IndexFunc(s.Partitions, func(q node.PartitionStatus) bool { return q.ID == p && q.Here })
	if i < 0 {
		return nil
	}
	return &s.Partitions[i]
}

// stateDiffers compares what two disks hold of a partition's state.
func (r *run) stateDiffers(p node.PartitionID, a, b int) error {
	x, err := dump(r.world.Store(a), p)
	if err != nil {
		return fmt.Errorf("reading the disk of %s: %w", schedule.HostName(a), err)
	}
	y, err := dump(r.world.Store(b), p)
	if err != nil {
		return fmt.Errorf("reading the disk of %s: %w", schedule.HostName(b), err)
	}
	if x == y {
		return nil
	}
	return fmt.Errorf("%s and %s hold different states: %v and %v", schedule.HostName(a), schedule.HostName(b), x, y)
}

// stateDump sums up the keys and values of a partition on one disk.
type stateDump struct {
	applied door.Index
	epoch   node.Epoch
	keys    int
	hash    uint64
}

func (d stateDump) String() string {
	return fmt.Sprintf("%d keys with hash %016x, applied up to (index %d, epoch %d)", d.keys, d.hash, d.applied, d.epoch)
}

// dump reads a disk as package node lays it out (see its keys.go): the state
// record names the valid generation, below which the keys stand.
func dump(store door.Store, p node.PartitionID) (stateDump, error) {
	prefix := binary.BigEndian.AppendUint32([]byte("p/"), uint32(p))
	record, ok, err := store.Get(append(bytes.Clone(prefix), "/state"...))
	switch {
	case err != nil:
		return stateDump{}, err
	case !ok:
		return stateDump{}, nil
	case len(record) < 24:
		return stateDump{}, fmt.Errorf("a state record of %d bytes", len(record))
	}
	d := stateDump{
		applied: door.Index(binary.BigEndian.Uint64(record[8:])),
		epoch:   node.Epoch(binary.BigEndian.Uint64(record[16:])),
	}
	from := append(append(bytes.Clone(prefix), "/gen/"...), record[:8]...)
	hash := xxhash.New()
	skip := len(from)
	err = store.Scan(from, append(bytes.Clone(from), "0"...), func(key, value []byte) bool {
		d.keys++
		var sizes [8]byte
		binary.BigEndian.PutUint32(sizes[:], uint32(len(key)))
		binary.BigEndian.PutUint32(sizes[4:], uint32(len(value)))
		hash.Write(sizes[:])
		hash.Write(key[skip:])
		hash.Write(value)
		return true
	})
	d.hash = hash.Sum64()
	return d, err
}

// alonePhase takes ZooKeeper away, in one run of three, and does not bring it
// back. No primary dies any more, so every partition has to take writes and to
// answer reads, also when sessions would have run out meanwhile.
func (r *run) alonePhase() {
	random := r.world.Random()
	if r.system != nil || random.Below(3, "run alone", 0, 0) > 0 || len(r.verdict.violations) > 0 {
		return
	}
	r.note("ZooKeeper is taken away")
	r.options.scene.moment(r.world.Now(), bandPhase, "ZooKeeper is taken away")
	r.world.ZooKeeper().Down()
	r.until(r.world.Now()+random.Between(between(0, 2*r.setup.SessionTimeout), "run alone", 0, 1), nil)
	r.load.stopped = false
	var probes []*probe
	for p := range r.setup.Partitions {
		host := r.soundHost("run alone host", p)
		b := &probe{host: host, partition: node.PartitionID(p), key: keyIn(node.PartitionID(p), r.setup.Partitions), last: "it did not answer"}
		probes = append(probes, b)
		r.probe(b)
	}
	const bound = 20 * time.Second
	if !r.until(r.world.Now()+bound, func() bool { return len(unanswered(probes)) == 0 }) && !r.aborted {
		b := unanswered(probes)[0]
		r.verdict.broken(Progress, "ZooKeeper is away and no primary died, yet %s did not get partition %d served within %v: %s",
			schedule.HostName(b.host), b.partition, bound, b.last)
	}
	r.load.stopped = true
}

// soundHost draws a host whose disk is not damaged.
func (r *run) soundHost(purpose string, number int) int {
	host := r.world.Random().Below(r.setup.Nodes, purpose, uint64(number), 0)
	for r.world.Ruined(host) {
		host = (host + 1) % r.setup.Nodes
	}
	return host
}

// readPhase reads every key through some node, after everything is quiet. These
// reads are in the history: what was acknowledged has to be in them.
func (r *run) readPhase() {
	r.options.scene.moment(r.world.Now(), bandPhase, "every key is read")
	keys := slices.Concat(r.load.keys, r.load.newKeys)
	for p := range r.setup.Partitions {
		keys = append(keys, keyIn(node.PartitionID(p), r.setup.Partitions))
	}
	r.load.stopped = false
	left, last := len(keys), ""
	for i, key := range keys {
		r.finalRead(i, key, func() { left-- }, func(why string) { last = "key " + key + ": " + why })
	}
	const bound = 20 * time.Second
	if !r.until(r.world.Now()+bound, func() bool { return left == 0 }) && !r.aborted {
		r.verdict.broken(Progress, "%d of %d keys could not be read within %v at the quiet end: %s", left, len(keys), bound, last)
	}
	r.load.stopped = true
}

func (r *run) finalRead(i int, key string, done func(), failed func(why string)) {
	host := r.soundHost("run final read", i)
	op := linearizability.Operation{Client: finalClient + i, Key: key, Kind: linearizability.Get}
	request := door.Request{Kind: door.RequestGet, Key: []byte(key), Timeout: r.patientTimeout()}
	r.load.submit(host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		if outcome == linearizability.OK {
			done()
			return
		}
		failed(outcome.String() + " (" + resp.Reason + ")")
		if !r.load.stopped {
			r.world.After(100*time.Millisecond, func() { r.finalRead(i, key, done, failed) })
		}
	})
}
