package schedule

// Faults of a node's disk. Those that return errors end the process that meets
// them, so the budget counts its node as gone.
var (
	DiskStall = action(FamilyDisk, oneNode, Action{Word: "disk-stall", Lasts: true, Counters: []string{"disk-stall"},
		Does: "no sync of its disk completes"})
	DiskSlow = action(FamilyDisk, nodeAndTime, Action{Word: "disk-slow", Lasts: true, Counters: []string{"disk-slow"},
		Does: "adds up to that time to each sync of its disk"})
	DiskFailSync = action(FamilyDisk, oneNode, Action{Word: "disk-fail-sync", Counters: []string{"disk-fail-sync"},
		Does: "the next sync of its disk fails"}).taking(always, nil)
	DiskEIO = action(FamilyDisk, oneNode, Action{Word: "disk-eio", Lasts: true, Counters: []string{"disk-eio"},
		Does: "every read and write of its disk fails"}).taking(always, nil)
	DiskFull = action(FamilyDisk, oneNode, Action{Word: "disk-full", Lasts: true, Counters: []string{"disk-full"},
		Does: "its disk has no room for another write"}).taking(always, nil)
	DiskRot = action(FamilyDisk, oneNode, Action{Word: "disk-rot", Lasts: true, Counters: []string{"disk-rot"},
		Does: "one key of its disk cannot be read"}).taking(always, nil)
	DiskFlipEntry = action(FamilyDisk, oneNode, Action{Word: "disk-flip-entry", Lasts: true, Counters: []string{"disk-flip-entry"},
		Does: "one entry of its logs is read with one bit flipped"}).taking(always, nil)
	DiskFlipTable = action(FamilyDisk, oneNode, Action{Word: "disk-flip-table", Lasts: true, Only: PebbleRaw, Counters: []string{"disk-flip-table"},
		Does: "it crashes, and a bit of Pebble's tables flips for good (store pebble-raw)"}).taking(always, nil)
	DiskFlipWAL = action(FamilyDisk, oneNode, Action{Word: "disk-flip-wal", Lasts: true, Only: PebbleRaw, Counters: []string{"disk-flip-wal"},
		Does: "it crashes, and a bit of Pebble's log flips for good (store pebble-raw)"}).taking(always, nil)
)
