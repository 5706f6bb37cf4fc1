package door

import "dkv/node/layout"

// Peer says where a message goes: to which member, on which disk, at which
// address.
type Peer struct {
	Number  layout.MemberNumber
	Store   layout.StoreID
	Address string
}

// Network carries messages of type M between members. The contract is weak on
// purpose: it may lose, delay, duplicate and reorder messages, and reports none
// of that to the sender. A message that arrives is intact. The world delivers it
// by a method of the program that owns the door; it may also hint that a peer
// has gone, and that hint may be wrong or missing.
type Network[M any] interface {
	// Send hands over a message and returns at once. If M is a pointer, the
	// sender may reuse what it points to once Send has returned; whatever hangs
	// below that is immutable from then on.
	Send(to Peer, m M)
}
