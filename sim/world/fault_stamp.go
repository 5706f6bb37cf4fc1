package world

import (
	"bytes"
	"encoding/binary"

	"dkv/node"
	"dkv/node/door"
)

// Disks that go back in time. A roll-back or a copy is harmful to any replicated store if
// no other node remembers what the disk lost, so the world makes one only if enough others
// durably know a newer stamp: every other replica of each partition that the node holds,
// which is more than the promise needs (rule "a disk proves that it was not rolled back").

// savedDisk is what a disk held at some time.
type savedDisk struct {
	rows  door.Batch
	store node.StoreID
	count uint64 // of synced commits
}

// SaveDisk remembers what the host's disk holds now, durable or not: a snapshot of a
// running machine.
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
	if err == nil && s.store != "" {
		h.saved = s
	}
}

// RollBack crashes the host's process, and restarts it on what SaveDisk remembered. It
// does nothing, and returns false, if nothing was saved, if not enough others know what
// would be lost, or if the damaged disks might then hold a majority of a partition.
func (w *World) RollBack(host int) bool {
	h, l := w.hosts[host], w.Layout()
	if h.plays != NoHost || h.rolledBack || l == nil || w.damaged() >= (l.Replication()-1)/2 || !w.remember(host, h.saved) {
		return false
	}
	h.crash()
	h.rolledBack = true
	h.putDisk(h.saved)
	w.Count(faultRollBack)
	w.Restart(host)
	return true
}

// RunCopy crashes the host's process, sets its disk aside, and runs there the node of
// another host, under its name, on what SaveDisk remembered of its disk. The conditions
// are those of RollBack, and ZooKeeper's record has to show a newer stamp as well: else
// the copy could be taken for the original, which would end.
func (w *World) RunCopy(host, of int) bool {
	h, original := w.hosts[host], w.hosts[of]
	s := original.saved
	if host == of || h.plays != NoHost || h.rolledBack || original.plays != NoHost || original.rolledBack ||
		w.Layout() == nil || !w.remember(of, s) || w.recorded(s.store) <= s.count {
		return false
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

// remember reports whether every other replica of the partitions that a host's node
// replicates durably knows a newer stamp of it than was saved.
func (w *World) remember(host int, s *savedDisk) bool {
	l := w.Layout()
	if s == nil || l == nil {
		return false
	}
	m, ok := l.MemberByStore(s.store)
	if !ok || w.HostOf(m.Number) != host {
		return false
	}
	others := 0
	for _, other := range l.Members() {
		if other.Number == m.Number {
			continue
		}
		shares := false
		for _, part := range l.Partitions() {
			shares = shares || part.Names(m.Number) && part.Names(other.Number)
		}
		if !shares {
			continue
		}
		others++
		at := w.HostOf(other.Number)
		if at == NoHost || w.hosts[at].plays != NoHost || w.hosts[at].rolledBack || w.hosts[at].knows(s.store) <= s.count {
			return false
		}
	}
	return others > 0
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
