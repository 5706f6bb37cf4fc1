package schedule

// Faults of a node's disk. An error of the disk ends the process that gets it, so
// the budget counts the node as stopped.
var (
	DiskStall = action(FamilyDisk, oneNode, Action{Word: "disk-stall", Lasts: true, Counters: []string{"disk-stall"},
		Does: "no sync of the node's disk completes"})
	DiskSlow = action(FamilyDisk, nodeAndTime, Action{Word: "disk-slow", Lasts: true, Counters: []string{"disk-slow"},
		Does: "adds up to TIME to each sync of the node's disk"})
	DiskFailSync = action(FamilyDisk, oneNode, Action{Word: "disk-fail-sync", Counters: []string{"disk-fail-sync"},
		Does: "the next sync of the node's disk fails"}).taking(always, nil)
	DiskEIO = action(FamilyDisk, oneNode, Action{Word: "disk-eio", Lasts: true, Counters: []string{"disk-eio"},
		Does: "every read and write of the node's disk fails"}).taking(always, nil)
	DiskFull = action(FamilyDisk, oneNode, Action{Word: "disk-full", Lasts: true, Counters: []string{"disk-full"},
		Does: "the node's disk is full: every write fails"}).taking(always, nil)
	DiskRot = action(FamilyDisk, oneNode, Action{Word: "disk-rot", Lasts: true, Counters: []string{"disk-rot"},
		Does: "one key on the node's disk cannot be read"}).taking(always, nil)
	DiskFlipEntry = action(FamilyDisk, oneNode, Action{Word: "disk-flip-entry", Lasts: true, Counters: []string{"disk-flip-entry"},
		Does: "one entry of the node's logs is read with one bit flipped"}).taking(always, nil)
	DiskSave = action(FamilyDisk, someNodes, Action{Word: "disk-save",
		Does: "remembers what the nodes' disks hold; the last four states of each are kept"})
	DiskRollBack = action(FamilyDisk, oneNode, Action{Word: "disk-roll-back", Counters: []string{"disk-roll-back"},
		Does: "the node crashes, and restarts on the latest saved state of its disk of which enough others know that it is not the last"}).taking(always, nil)
	DiskCopy = action(FamilyDisk, twoNodes, Action{Word: "disk-copy", Lasts: true, Counters: []string{"disk-copy"},
		Does: "the first node crashes, and its machine runs the second one on a saved state of that disk, as with disk-roll-back"}).taking(always, nil)
	DiskFlipTable = action(FamilyDisk, oneNode, Action{Word: "disk-flip-table", Lasts: true, Only: PebbleRaw, Counters: []string{"disk-flip-table"},
		Does: "the node crashes, and one bit in Pebble's tables flips permanently (store pebble-raw)"}).taking(always, nil)
	DiskFlipWAL = action(FamilyDisk, oneNode, Action{Word: "disk-flip-wal", Lasts: true, Only: PebbleRaw, Counters: []string{"disk-flip-wal"},
		Does: "the node crashes, and one bit in Pebble's write-ahead log flips permanently (store pebble-raw)"}).taking(always, nil)
)
