package sim

import (
	"encoding/binary"
	"time"

	"dkv/node"
	"dkv/sim/schedule"

	"github.com/cespare/xxhash/v2"
)

// snapshots compares the state of a replica that installed a snapshot with the one
// that all entries up to its index make. It carries out each entry that is applied for
// the first time anywhere, in a model of the partition that keeps no values: a sum of
// one hash a key is the state, so an entry costs two hashes.
type snapshots struct {
	partitions []stateModel
	pending    []installed // those that the store may not hold yet
	compared   int
	largest    int       // bytes of the key and the value of the largest entry
	bursts     [][]burst // by partition and host
}

// burst is how many entries a replica applied at the same time as its last one: in one
// turn.
type burst struct {
	at    time.Duration
	count int
}

func (s *snapshots) burst(host int, p node.PartitionID, now time.Duration) int {
	for len(s.bursts) <= int(p) {
		s.bursts = append(s.bursts, nil)
	}
	for len(s.bursts[p]) <= host {
		s.bursts[p] = append(s.bursts[p], burst{})
	}
	b := &s.bursts[p][host]
	if b.at != now {
		*b = burst{at: now}
	}
	b.count++
	return b.count
}

// stateModel is the state of one partition after each of its entries.
type stateModel struct {
	keys map[string]modelKey
	sums []uint64 // by index
	lost bool     // an entry was missed, so nothing can be compared any more
}

type modelKey struct {
	version node.Version
	hash    uint64
}

// installed is a snapshot that one process installed.
type installed struct {
	host      int
	process   uint64
	partition node.PartitionID
	index     node.Index
}

func newSnapshots(partitions int) *snapshots {
	s := &snapshots{partitions: make([]stateModel, partitions)}
	for p := range s.partitions {
		s.partitions[p] = stateModel{keys: make(map[string]modelKey), sums: []uint64{0}}
	}
	return s
}

// sumOf returns what one key adds to a state's sum.
func sumOf(key, stored []byte) uint64 {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(key)))
	var d xxhash.Digest
	d.Reset()
	d.Write(size[:])
	d.Write(key)
	d.Write(stored)
	return d.Sum64()
}

// apply carries out the entry of an index, if ok says that it is known, unless another replica has applied it before.
func (m *stateModel) apply(index node.Index, e *node.Entry, ok bool) {
	if m.lost || int(index) < len(m.sums) {
		return
	}
	if !ok || e.Index != index || int(index) != len(m.sums) {
		m.lost = true
		return
	}
	sum := m.sums[index-1]
	if old := m.keys[string(e.Key)]; e.Kind != node.EntryNoop && e.If.Holds(old.version) {
		sum -= old.hash
		if e.Kind == node.EntryPut {
			stored := append(binary.BigEndian.AppendUint64(nil, uint64(e.Index)), e.Value...)
			now := modelKey{e.Index, sumOf(e.Key, stored)}
			sum += now.hash
			m.keys[string(e.Key)] = now
		} else {
			delete(m.keys, string(e.Key))
		}
	}
	m.sums = append(m.sums, sum)
}

// onStateEvent follows what replicas apply and install.
func (r *run) onStateEvent(host int, ev *node.Event) {
	if int(ev.Partition) >= len(r.snapshots.partitions) || r.world.Node(host) == nil {
		return
	}
	switch ev.Kind {
	case node.EventApplied:
		e, ok := r.world.Node(host).AppliedEntry(ev.Partition)
		if ok {
			r.snapshots.largest = max(r.snapshots.largest, len(e.Key)+len(e.Value))
		}
		r.snapshots.partitions[ev.Partition].apply(ev.Index, e, ok)
		r.judgeLog(schedule.HostName(host), r.world.Node(host).LogAccount(ev.Partition), r.snapshots.burst(host, ev.Partition, r.world.Now()))
	case node.EventSnapshotInstalled:
		at := installed{host, r.world.ProcessNumber(host), ev.Partition, ev.Index}
		r.snapshots.pending = append(r.snapshots.pending, at)
	}
}

// checkInstalled compares what was installed. The turn that installs a snapshot gives
// it to the store at its end, so it is called between steps.
func (r *run) checkInstalled() {
	waiting := r.snapshots.pending[:0]
	for _, i := range r.snapshots.pending {
		if r.world.ProcessNumber(i.host) != i.process || r.world.Node(i.host) == nil || r.world.Failure(i.host) != nil || r.world.Damaged(i.host) {
			continue // a crash may have taken it back, or the disk tells nothing
		}
		if d, err := dump(r.world.Store(i.host), i.partition); err == nil && d.applied >= i.index {
			r.compareInstalled(i, d)
		} else {
			waiting = append(waiting, i)
		}
	}
	r.snapshots.pending = waiting
}

func (r *run) compareInstalled(i installed, d stateDump) {
	m := &r.snapshots.partitions[i.partition]
	if m.lost || int(d.applied) >= len(m.sums) {
		return
	}
	r.snapshots.compared++
	if want := m.sums[d.applied]; d.sum != want {
		r.verdict.broken(Convergence, "%s installed a snapshot of partition %d at index %d, and at index %d its state (%v) is not what the entries up to there make",
			schedule.HostName(i.host), i.partition, i.index, d.applied, d)
	}
}
