package schedule

// Budget limits how much of the cluster a schedule's steps may take away at once.
type Budget string

const (
	// NoBudget lets every step strike.
	NoBudget Budget = "none"
	// KeepMajority lets a step strike only if afterwards some node can still lead:
	// it runs and, with the running nodes that it reaches in both directions, forms
	// a majority of all nodes. A partition, which may have fewer replicas than there
	// are nodes, can still lose its own majority. Some steps are not judged: those
	// that strike no particular node, such as a power loss; those that take no node
	// away, such as slow disks and ZooKeeper's faults; and a crash for less than a
	// quarter of suspect-after, which is a restart. Nor does the budget foresee
	// which node a disk fault stops after it has ended.
	KeepMajority Budget = "majority"
)
