package sim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// convergePhase heals everything and waits until the replicas of each partition
// are identical and each partition is led by the replica that the ring prefers.
func (r *run) convergePhase() {
	r.note("all faults are healed")
	r.options.timeline.healed(r.world.Now())
	r.world.HealAll()
	r.faults.setRates(netsim.Rates{})
	r.world.EndEdits()
	r.faults.restartAll()
	w := &r.setup.Workload
	underLoad := r.world.Random().Below(100, "run moves under load", 0, 0) < 30 &&
		w.Large == 0 && r.setup.MoveRate >= 40*w.Clients*max(w.ValueBytes, 64) // or clients may write faster than it copies
	moved := underLoad && r.movePhase()
	r.load.stopped = true
	if !moved {
		r.movePhase()
	}
	var differ, kept error
	converged := r.until(r.world.Now()+r.setup.Phases.Converge, func() bool {
		r.faults.restartAll() // a host that was still stopping is down only now
		r.desk.reinstate()
		if differ = r.difference(); differ == nil {
			kept = cmp.Or(r.notRecognized(), r.notHandedBack(), r.notTurnedAway())
		}
		return differ == nil && kept == nil
	})
	switch {
	case converged || r.aborted:
	case differ == nil:
		r.verdict.broken(Progress, "%v after all faults were healed: %v", r.setup.Phases.Converge, kept)
	default:
		r.verdict.broken(Convergence, "%v after all faults were healed: %v", r.setup.Phases.Converge, differ)
	}
}

// difference returns the first thing that keeps the cluster from having
// converged, or nil: every node runs, is ready, knows ZooKeeper's layout, and all
// replicas of a partition hold the same log end and the same state.
func (r *run) difference() error {
	if r.system != nil {
		return r.world.AllRun()
	}
	l := r.world.Layout()
	if l == nil {
		return errors.New("no layout exists: the cluster never formed")
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
		if ready, why := n.Ready(); !ready && !r.isStranger(h) {
			return fmt.Errorf("%s is not ready: %s", schedule.HostName(h), why)
		}
		status[h] = n.Status(false)
		if status[h].Layout == nil { // a stranger's
			return fmt.Errorf("%s knows no layout: %s", schedule.HostName(h), status[h].Why)
		}
		if v := status[h].Layout.Version(); v != l.Version() {
			return fmt.Errorf("%s knows layout version %d, but ZooKeeper has version %d", schedule.HostName(h), v, l.Version())
		}
		if v, want := status[h].Settings.Ring, r.invariants.rule.Version; v != want && !r.isStranger(h) {
			return fmt.Errorf("%s places partitions by version %d of the ring's rule, and the cluster's record says %d", schedule.HostName(h), v, want)
		}
	}
	if err := r.desk.astray(); err != nil {
		return err
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
		return fmt.Errorf("still moving from replicas %v to %v", part.Replicas, part.Next)
	}
	if want := min(l.Replication(), r.setup.Nodes); len(part.Replicas) != want {
		return fmt.Errorf("the replicas are %v, want %d of them", part.Replicas, want)
	}
	var first *node.PartitionStatus
	var firstHost int
	var state *stateDump // of the first, once it was compared
	for _, m := range part.Replicas {
		host := r.world.HostOf(m)
		if host == world.NoHost {
			return fmt.Errorf("member %d has no host", m)
		}
		if r.world.Ruined(host) {
			if m == part.Primary {
				return fmt.Errorf("the disk of the primary %s is damaged", schedule.HostName(host))
			}
			continue
		}
		s := partitionStatus(status[host], p)
		switch {
		case s == nil:
			return fmt.Errorf("%s has no log of it", schedule.HostName(host))
		case s.Assignment.Epoch != part.Epoch:
			return fmt.Errorf("%s is in epoch %d", schedule.HostName(host), s.Assignment.Epoch)
		case s.Commit != s.Last || s.Applied != s.Last:
			return fmt.Errorf("on %s the log ends at %d, but commit is %d and applied is %d", schedule.HostName(host), s.Last, s.Commit, s.Applied)
		case m == part.Primary && s.Role != "primary":
			return fmt.Errorf("the primary %s acts as %q", schedule.HostName(host), s.Role)
		}
		if first == nil {
			first, firstHost = s, host
			continue
		}
		if s.Last != first.Last || s.LastEpoch != first.LastEpoch {
			return fmt.Errorf("the log of %s ends at (index %d, epoch %d), that of %s at (index %d, epoch %d)",
				schedule.HostName(firstHost), first.Last, first.LastEpoch, schedule.HostName(host), s.Last, s.LastEpoch)
		}
		if state == nil {
			read, err := r.dumpOf(firstHost, p)
			if err != nil {
				return err
			}
			state = &read
		}
		if err := r.stateDiffers(p, firstHost, *state, host); err != nil {
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

// stateDiffers compares the states of a partition that are durable on two disks. That
// of host a was read already.
func (r *run) stateDiffers(p node.PartitionID, a int, x stateDump, b int) error {
	y, err := r.dumpOf(b, p)
	if err != nil {
		return err
	}
	if x == y {
		return nil
	}
	return fmt.Errorf("%s and %s hold different states: %v and %v", schedule.HostName(a), schedule.HostName(b), x, y)
}

func (r *run) dumpOf(host int, p node.PartitionID) (stateDump, error) {
	d, err := dump(r.world.Store(host), p)
	if err != nil {
		err = fmt.Errorf("reading the disk of %s: %w", schedule.HostName(host), err)
	}
	return d, err
}

// stateDump summarises the keys and values of a partition on one disk.
type stateDump struct {
	applied door.Index
	epoch   node.Epoch
	keys    int
	sum     uint64 // of one hash a key: see snapshots
}

func (d stateDump) String() string {
	return fmt.Sprintf("%d keys with sum %016x, applied up to (index %d, epoch %d)", d.keys, d.sum, d.applied, d.epoch)
}

// dump reads a partition from a disk in the layout of package node (see its
// keys.go): the state record names the valid generation, and the keys are stored
// under that generation's prefix.
func dump(store door.Store, p node.PartitionID) (stateDump, error) {
	prefix := binary.BigEndian.AppendUint32([]byte("p/"), uint32(p))
	record, ok, err := store.Get(append(bytes.Clone(prefix), "/state"...))
	switch {
	case err != nil:
		return stateDump{}, err
	case !ok:
		return stateDump{}, nil
	case len(record) < 24:
		return stateDump{}, fmt.Errorf("invalid state record: %d bytes, want at least 24", len(record))
	}
	d := stateDump{
		applied: door.Index(binary.BigEndian.Uint64(record[8:])),
		epoch:   node.Epoch(binary.BigEndian.Uint64(record[16:])),
	}
	from := append(append(bytes.Clone(prefix), "/gen/"...), record[:8]...)
	skip := len(from) + len("/kv/")
	err = store.Scan(from, append(bytes.Clone(from), "0"...), func(key, value []byte) bool {
		d.keys++
		d.sum += sumOf(key[skip:], value)
		return true
	})
	return d, err
}
