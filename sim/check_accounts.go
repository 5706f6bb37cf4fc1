package sim

import (
	"dkv/node"
	"dkv/sim/schedule"
)

// checkAccounts checks on each running node that what it counts is there (see
// node.Accounts), and that what it keeps is within bounds. Phases end with it: a leak
// does no harm in the seconds of a run, and so would show nowhere else.
func (r *run) checkAccounts() {
	if r.system != nil || r.aborted {
		return
	}
	processes := uint64(0)
	for h := range r.setup.Hosts() {
		processes += r.world.ProcessNumber(h)
	}
	for h := range r.setup.Hosts() {
		if n := r.soundNode(h); n != nil {
			r.judgeAccounts(h, n.Accounts(), r.world.Views(h), processes)
		}
	}
}

// turnEntries and turnBytes bound what one turn may add to a log before it is
// compacted. An entry counts for entryOverhead more than its key and its value.
const (
	turnEntries   = schedule.MostTurn
	turnBytes     = 2*node.MaxValueBytes + 4<<20
	entryOverhead = 64
)

// judgeAccounts judges one node's accounts. Processes is how many have run on all hosts.
func (r *run) judgeAccounts(host int, a node.Accounts, views int, processes uint64) {
	name := schedule.HostName(host)
	if a.Uncommitted != a.Waiting {
		r.verdict.broken(Bounds, "%s counts %d bytes as uncommitted, but the writes that wait there have %d", name, a.Uncommitted, a.Waiting)
	}
	if a.Forwards != a.ToPeers {
		r.verdict.broken(Bounds, "%s has %d forwards under way, but counts %d by their primaries", name, a.Forwards, a.ToPeers)
	}
	if a.Transfers != views {
		r.verdict.broken(Bounds, "%s sends %d snapshots, but holds %d Views open", name, a.Transfers, views)
	}
	if a.Expired > 0 {
		r.verdict.broken(Bounds, "%s keeps %d tables of forwards whose time is over", name, a.Expired)
	}
	// A table of each process that ever forwarded: see docs/known-limits.md.
	if !r.uses.within(boundTables, a.Tables, int(processes)) {
		r.verdict.broken(Bounds, "%s keeps %d tables of forwards for one reign, though only %d processes ever ran", name, a.Tables, processes)
	}
	for _, log := range a.Logs {
		if log.Bytes != log.Counted {
			r.verdict.broken(Bounds, "%s counts %d bytes of applied entries of partition %d, but has %d", name, log.Counted, log.Partition, log.Bytes)
		}
		r.judgeLog(name, log, 0)
	}
}

// judgeLog judges the memory of one log, of which so many entries were applied in a turn that
// has not ended: one Append may hold more of them than a turn has events.
func (r *run) judgeLog(host string, log node.LogAccount, inTurn int) {
	entries, bytes := node.Config{RetainEntries: r.setup.RetainEntries, RetainBytes: r.setup.RetainBytes}.LogBounds()
	more := max(turnEntries, inTurn)
	entries, bytes = entries+more, bytes+min(turnBytes, more*(r.snapshots.largest+entryOverhead))
	few := r.uses.within(boundLogEntries, log.Applied, entries)
	if !r.uses.within(boundLogBytes, log.Bytes, bytes) || !few {
		r.verdict.broken(Bounds, "%s keeps %d applied entries with %d bytes of partition %d, bounds are %d and %d",
			host, log.Applied, log.Bytes, log.Partition, entries, bytes)
	}
}
