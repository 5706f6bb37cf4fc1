package schedule

// Budget says how much of the cluster a schedule's steps may take away at once.
type Budget string

const (
	// NoBudget lets every step strike.
	NoBudget Budget = "none"
	// KeepMajority lets a step strike only if then there still is a node that
	// can lead: one that runs and reaches, both ways, so many others that run
	// that they are a majority with it. A partition, which has fewer replicas
	// than there are nodes, may lose its own majority all the same. Not judged
	// are steps that strike no certain node, as a power loss; those that take
	// nobody away, as slow disks and ZooKeeper's faults; and a crash for less than a
	// quarter of suspect-after, which is a restart: the node is as good as back.
	// Nor is it foreseen whom a disk's fault stops after it is over.
	KeepMajority Budget = "majority"
)
