package world

import (
	"bytes"
	"encoding/binary"
	"slices"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
)

// Disks that go back in time. Any replicated store loses writes if too few others remember
// what a disk lost, so the world makes a roll-back or a copy exactly where rule "a disk
// proves that it was not rolled back" promises that no harm is done: see covered.

// savedDisk is what a disk held at some time.
type savedDisk struct {
	rows  door.Batch
	store node.StoreID
	count uint64 // of synced commits
}

// maxSaved is how many states of one disk are kept.
const maxSaved = 4

// SaveDisk remembers what the host's disk holds now, durable or not: a snapshot of a
// running machine. Of the states that it remembered before it keeps the latest.
func (w *World) SaveDisk(host int) {
	h := w.hosts[host]
	if h.plays != NoHost || h.rolledBack {
		return
	}
	s := &savedDisk{}
	err := h.disk.medium.scan(nil, []byte{0xff}, func(key, value []byte) bool {
		key, value = bytes.Clone(key), bytes.Clone(value)
		s.rows.Put(key, value)
		switch string(key) { // the keys of package node; see its keys.go
		case "m/store":
			s.store = node.StoreID(value)
		case "m/count":
			s.count = numberOf(value)
		}
		return true
	})
	if err != nil || s.store == "" {
		return
	}
	h.saved = append(h.saved, s)
	if len(h.saved) > maxSaved {
		h.saved = slices.Delete(h.saved, 0, 1)
	}
}

// RollBack crashes the host's process, and restarts it on the latest state that SaveDisk
// remembered and that is covered. It does nothing, and returns false, if no state is, if
// it would uncover what another host lost, or if the damaged disks might then hold a majority of a
// partition.
func (w *World) RollBack(host int) bool {
	h, l := w.hosts[host], w.Layout()
	if h.plays != NoHost || h.rolledBack || l == nil || w.damaged() >= (l.Replication()-1)/2 {
		return false
	}
	s := w.latestCovered(host)
	if s == nil || w.wouldLack(s.store) {
		return false
	}
	h.rolledBack = true // it covers others no more
	for _, other := range w.hosts {
		if other != h && other.rolledBack && !w.covered(other.index, other.back) {
			h.rolledBack = false
			return false
		}
	}
	h.crash()
	h.back = s
	h.putDisk(s)
	w.Count(faultRollBack)
	w.Restart(host)
	return true
}

// wouldLack is WouldLack for the member of a store.
func (w *World) wouldLack(store node.StoreID) bool {
	m, _ := w.Layout().MemberByStore(store)
	return w.WouldLack(m.Number)
}

// WouldLack reports whether some set of replicas would lack a majority for good without a
// member's disk: the others are lost, too, or damaged, or rolled back.
func (w *World) WouldLack(number node.MemberNumber) bool {
	l := w.Layout()
	for _, part := range l.Partitions() {
		for _, set := range [][]node.MemberNumber{part.Replicas, part.Next} {
			left := 0
			for _, other := range set {
				if at := w.holder(other); other != number && at != nil && !at.rolledBack && !at.disk.ruined {
					left++
				}
			}
			if slices.Contains(set, number) && 2*left <= len(set) {
				return true
			}
		}
	}
	return false
}

// holder returns the host that has a member's disk, or nil. One of the same name may have a
// newer disk.
func (w *World) holder(number node.MemberNumber) *host {
	at := w.HostOf(number)
	if at == NoHost {
		return nil
	}
	h := w.hosts[at]
	m, _ := w.Layout().Member(number)
	if store, ok, err := h.disk.medium.get([]byte("m/store")); err != nil || !ok || node.StoreID(store) != m.Store {
		return nil
	}
	return h
}

// RolledBack reports whether the host's disk lacks what it once acknowledged.
func (w *World) RolledBack(host int) bool { return w.hosts[host].rolledBack }

// RunCopy crashes the host's process, sets its disk aside, and runs there the node of
// another host, under its name, on the latest state that SaveDisk remembered of its disk
// and that is covered. All other members, and ZooKeeper's record, have to know a newer
// stamp as well: one that does not could take the copy for the original, which would end.
func (w *World) RunCopy(host, of int) bool {
	h, original := w.hosts[host], w.hosts[of]
	if host == of || h.plays != NoHost || h.rolledBack || original.plays != NoHost || original.rolledBack {
		return false
	}
	s := w.latestCovered(of)
	if s == nil || w.recorded(s.store) <= s.count {
		return false
	}
	for _, m := range w.Layout().Members() {
		if m.State != layout.Gone && m.Store != s.store && !w.witness(m.Number, s) {
			return false
		}
	}
	h.crash()
	h.aside, h.plays, h.disk = h.disk, of, nil
	h.putDisk(s)
	w.Restart(host)
	return true
}

// EndCopy ends a copy's process, and restarts the host on its own disk.
func (w *World) EndCopy(host int) {
	if w.hosts[host].endCopy() {
		w.Restart(host)
	}
}

// RunsCopy reports whether the host runs the node of another host.
func (w *World) RunsCopy(host int) bool { return w.hosts[host].plays != NoHost }

func (h *host) endCopy() bool {
	if h.plays == NoHost {
		return false
	}
	h.crash()
	h.disk.medium.close()
	h.disk, h.aside, h.plays = h.aside, nil, NoHost
	h.changedDisk()
	return true
}

// putDisk gives the host a disk with these contents.
func (h *host) putDisk(s *savedDisk) {
	h.newDisk()
	rows := s.rows
	d := h.disk
	d.used = true
	if err := d.medium.apply(&rows, true); err != nil {
		panic("world: writing a disk that was saved: " + err.Error())
	}
	if err := d.medium.harden([]pending{{batch: &rows}}, nil); err != nil {
		panic("world: writing a disk that was saved: " + err.Error())
	}
	h.changedDisk()
}

func (h *host) changedDisk() {
	if h.world.cfg.OnDisk != nil {
		h.world.cfg.OnDisk(h.index)
	}
}

// latestCovered returns the latest state that was saved of a host's disk and that is
// covered; nil if none is.
func (w *World) latestCovered(host int) *savedDisk {
	for _, s := range slices.Backward(w.hosts[host].saved) {
		if w.covered(host, s) {
			return s
		}
	}
	return nil
}

// covered reports whether no harm is possible if the host's disk goes back to a state: in
// each set of replicas that names its member, so many others durably know a newer stamp
// that the member and the rest are no majority. A member that replicates nothing is not.
func (w *World) covered(host int, s *savedDisk) bool {
	l := w.Layout()
	if l == nil {
		return false
	}
	m, ok := l.MemberByStore(s.store)
	if !ok || w.HostOf(m.Number) != host {
		return false
	}
	replicates := false
	for _, part := range l.Partitions() {
		for _, set := range [][]node.MemberNumber{part.Replicas, part.Next} {
			if !slices.Contains(set, m.Number) {
				continue
			}
			rest := 0 // that might count with the member
			for _, other := range set {
				if other == m.Number || !w.witness(other, s) {
					rest++
				}
			}
			if 2*rest > len(set) {
				return false
			}
			replicates = true
		}
	}
	return replicates
}

// witness reports whether a member durably knows a newer stamp of a store than a state of
// its disk has.
func (w *World) witness(m node.MemberNumber, s *savedDisk) bool {
	h := w.holder(m)
	return h != nil && h.plays == NoHost && !h.rolledBack && h.knows(s.store) > s.count
}

// knows returns the count of a store that the host's disk durably keeps; 0 if that is not
// durable yet.
func (h *host) knows(store node.StoreID) uint64 {
	key := []byte("m/known/" + string(store))
	for i := range h.disk.suffix {
		for _, op := range h.disk.suffix[i].batch.Ops {
			if bytes.Equal(op.Key, key) {
				return 0
			}
		}
	}
	value, ok, err := h.disk.medium.get(key)
	if err != nil || !ok || len(value) != 16 {
		return 0
	}
	return numberOf(value[8:])
}

// numberOf decodes eight bytes; 0 if there are not so many.
func numberOf(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
