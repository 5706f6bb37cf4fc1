package world

import (
	"time"
)

// wipe replaces the disk of a host that is down with an empty one.
func (w *World) wipe(host int) bool { return w.hosts[host].wipe() }

// SlowDisk delays each sync of the host's disk by a drawn time, until it is
// called with the zero Range.
func (w *World) SlowDisk(host int, by Range) { w.hosts[host].disk.slow = by }

// StallDisk keeps every sync of the host's disk from ending before d from now.
func (w *World) StallDisk(host int, d time.Duration) {
	w.hosts[host].disk.stallUntil = max(w.hosts[host].disk.stallUntil, w.Now()+d)
}

// FailSync makes the next sync of the host's disk fail, and all later ones until
// the process has ended.
func (w *World) FailSync(host int) { w.hosts[host].disk.failNext = true }

// BreakDisk makes every operation on the host's disk fail, until it is called
// with false.
func (w *World) BreakDisk(host int, broken bool) { w.hosts[host].disk.broken = broken }

// FillDisk makes every write to the host's disk fail for lack of space, until it
// is called with false.
func (w *World) FillDisk(host int, full bool) { w.hosts[host].disk.full = full }

// RotDisk damages one drawn key of the host's disk, so that reading it is an
// error. Silent rot instead damages a log entry, which is then read with one bit
// flipped. repair ends the damage; it is nil if the disk holds no such key.
func (w *World) RotDisk(host int, silent bool) (repair func()) {
	d := w.hosts[host].disk
	if !d.beginRot(silent) {
		return nil
	}
	damage := d.rot
	return func() {
		if d.rot == damage {
			d.rot = nil
		}
	}
}

// FlipTable crashes the host's process and flips a bit in one of Pebble's tables
// on its disk. No process starts on a disk once its damage was found. FlipTable
// returns false if it flipped nothing: the store is not PebbleRaw, the cluster is
// not formed, there is no table, or the damaged disks might then hold a majority
// of a partition's replicas, which is more than the store promises to survive.
func (w *World) FlipTable(host int) bool { return w.flip(host, faultFlipTable) }

// FlipLog is like FlipTable, but flips a bit in Pebble's write-ahead log.
func (w *World) FlipLog(host int) bool { return w.flip(host, faultFlipLog) }

func (w *World) flip(host int, what Fault) bool {
	h, l := w.hosts[host], w.Layout()
	h.crash()
	if l == nil || h.disk.flipped != 0 || w.damaged() >= (l.Replication()-1)/2 {
		return false
	}
	if !h.disk.medium.flip(what, h.disk.rots.word()) {
		return false
	}
	h.disk.flipped = what
	return true
}

// damaged returns how many disks have a flipped bit or were rolled back.
func (w *World) damaged() int {
	n := 0
	for host := range w.hosts {
		if w.Damaged(host) {
			n++
		}
	}
	return n
}

// Damaged reports whether a bit was flipped below the store of a host, which may find
// it at any time, or never, or whether its disk was rolled back.
func (w *World) Damaged(host int) bool {
	return w.hosts[host].disk.flipped != 0 || w.hosts[host].rolledBack
}

// Ruined reports whether a host's disk serves nothing any more: its store has found the
// flipped bit, and the host stays down, or the disk was rolled back.
func (w *World) Ruined(host int) bool { return w.hosts[host].disk.ruined || w.hosts[host].rolledBack }
