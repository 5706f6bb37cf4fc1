package node

import (
	"dkv/node/door"
	"dkv/node/layout"
)

// The nouns of the layout, used all over the core.
type (
	// Epoch numbers the assignments of one partition; each change adds one.
	Epoch = layout.Epoch
	// MemberNumber names a member for ever; it is never reused. Zero names no member.
	MemberNumber = layout.MemberNumber
	// PartitionID numbers the slices of the hash space, from 0.
	PartitionID = layout.PartitionID
	// StoreID is the identity of one disk.
	StoreID = layout.StoreID
	// NodeID is the name an operator gave to a node.
	NodeID = layout.NodeID
)

// The nouns of the log.
type (
	// Index is a position in the log of a partition, from 1.
	Index = door.Index
	// Version of a key is the index of the write that made its value; zero means
	// that the key is absent.
	Version = door.Version
)

// Env is everything a Node touches. All doors belong to one node alone.
type Env struct {
	Clock       door.Clock
	Network     door.Network[*Envelope]
	Store       door.Store
	Coordinator door.Coordinator
	Observer    Observer
	Random      door.Random

	// Fail is called once, when the node can't continue: a failed sync, rot, a
	// store of another cluster. From then on the node ignores every event and
	// answers nothing; the owner ends the process (or the simulated host).
	Fail func(error)
}

// Observer is told what happens inside the node. In the simulator events become
// the trace, its hash, the probes and the step-wise checks; in production they
// become log lines and metrics. It must not call the node.
type Observer interface{ Observe(Event) }
