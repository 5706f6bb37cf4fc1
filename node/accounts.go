package node

// Accounts states, in pairs, what a node counts and what it counts of. Between two
// turns each count equals what it counts of, whatever the node is doing; a difference
// is a leak. Once all requests have ended, everywhere, Uncommitted, Forwards, Counted and
// Requests are 0. It is a copy.
type Accounts struct {
	Uncommitted, Waiting int // bytes that count as uncommitted; bytes of the writes that wait in reigns
	Forwards, ToPeers    int // forwards under way; the sum of those counted by primary
	Counted              int // primaries whose count of forwards is not zero
	Requests             int // of clients, that have not ended
	Transfers            int // snapshots being sent, each of which holds one View open
	Expired              int // tables of ended reigns that should have been discarded
	Tables               int // most tables of forwarders that one standing reign keeps
	Logs                 []LogAccount
}

// LogAccount is the memory of one partition's log.
type LogAccount struct {
	Partition PartitionID
	Applied   int // entries that are applied and kept
	Bytes     int // of those entries, keys and values included
	Counted   int // what the replica counts them for
}

// Accounts takes the accounts. It has no effect. A table counts as expired when its
// time was over at the last tick: the ticks of a slow node are late.
func (n *Node) Accounts() Accounts {
	a := Accounts{
		Uncommitted: n.uncommitted, Forwards: len(n.requests.forwarded),
		Requests: n.requests.live, Transfers: len(n.transfers),
	}
	// order-free: sums have no order
	for _, count := range n.requests.toPeer {
		a.ToPeers += count
		if count != 0 {
			a.Counted++
		}
	}
	for _, r := range n.replicas {
		if r != nil {
			r.account(&a)
		}
	}
	return a
}

func (r *replica) account(a *Accounts) {
	for i := range r.ended {
		if r.ended[i].until <= r.n.ticked {
			a.Expired++
		}
	}
	if g := r.reign; g != nil {
		a.Tables = max(a.Tables, len(g.fates))
		for i := range g.writes {
			a.Waiting += g.writes[i].size
		}
	}
	log := r.logAccount()
	log.Bytes = 0
	for i := range min(log.Applied, len(r.log.entries)) { // fewer only if the log is broken
		log.Bytes += r.log.entries[i].size()
	}
	a.Logs = append(a.Logs, log)
}

func (r *replica) logAccount() LogAccount {
	return LogAccount{r.id, int(r.applied - r.log.baseIndex), r.appliedBytes, r.appliedBytes}
}

// LogAccount returns the memory of one partition's log, as the replica counts it. Within a
// turn it may be above the bounds by what the turn adds.
func (n *Node) LogAccount(p PartitionID) LogAccount {
	if r := n.replicas[p]; r != nil {
		return r.logAccount()
	}
	return LogAccount{Partition: p}
}

// LogBounds returns the bounds of what a log keeps of applied entries: so many entries,
// so many bytes. A turn's entries and one entry of the greatest size come on top.
func (c Config) LogBounds() (entries, bytes int) {
	return laggardFactor * c.RetainEntries, laggardFactor * c.RetainBytes
}

// AppliedEntry returns the entry that a partition's replica here applied last; ok is
// false if the log does not have it. Key and value must not be changed.
func (n *Node) AppliedEntry(p PartitionID) (e *Entry, ok bool) {
	r := n.replicas[p]
	if r == nil || r.applied <= r.log.baseIndex {
		return nil, false
	}
	return r.log.at(r.applied), true
}
