package node

import "fmt"

// What a peer's frame claims is judged against this node's own durable state. Where the
// two contradict each other one of them is wrong, and this node can't tell which; but a
// frame must not end a healthy process, or one broken or lying peer would end them all:
// rule "a claim ends no process". The frame is dropped and counted, and the operator is
// told.

// refuseClaim says that a frame contradicts what this node has promised, committed or sent.
func (n *Node) refuseClaim(from MemberNumber, p PartitionID, format string, args ...any) {
	claim := fmt.Sprintf(format, args...)
	n.observe(Event{Kind: EventClaimRefused, Partition: p, Peer: from, Text: claim})
	n.alarm("partition %d: refusing what member %d says: %s; if no frame was forged, one epoch was given out twice: ZooKeeper's layout was edited or rolled back, or a data directory was copied or restored", p, from, claim)
}

// promisedAnother reports whether a frame of the promised epoch names another primary than
// the promise does: rule "a promise names its primary".
func (r *replica) promisedAnother(from MemberNumber, e Epoch, primary MemberNumber) bool {
	if e != r.promised || r.promisedTo == 0 || r.promisedTo == primary {
		return false
	}
	r.n.refuseClaim(from, r.id, "that member %d is the primary of epoch %d, which was promised to member %d here", primary, e, r.promisedTo)
	return true
}

// deniesCommitted reports whether entries that follow prev differ from what is committed
// here. An honest primary has all of it: its log was chosen by a majority's promises.
func (r *replica) deniesCommitted(from MemberNumber, prev Index, prevEpoch Epoch, entries []Entry) bool {
	denied := r.differsCommitted(prev, prevEpoch)
	for i := 0; i < len(entries) && !denied; i++ {
		denied = r.differsCommitted(entries[i].Index, entries[i].Epoch)
	}
	if denied {
		r.n.refuseClaim(from, r.id, "its log after %d:%d differs from what is committed here up to %d", prev, prevEpoch, r.commit)
	}
	return denied
}

// differsCommitted reports whether i is committed here with another epoch than e. Below
// the log's base this node has forgotten it.
func (r *replica) differsCommitted(i Index, e Epoch) bool {
	if i > r.commit {
		return false
	}
	epoch, ok := r.log.epochAt(i)
	return ok && epoch != e
}

// chained reports whether entries follow prev one by one, with epochs that do not fall and
// do not pass last: what any log holds.
func chained(prev Index, prevEpoch Epoch, entries []Entry, last Epoch) bool {
	for i := range entries {
		if prev++; entries[i].Index != prev || entries[i].Epoch < prevEpoch || entries[i].Epoch > last {
			return false
		}
		prevEpoch = entries[i].Epoch
	}
	return prevEpoch <= last
}
