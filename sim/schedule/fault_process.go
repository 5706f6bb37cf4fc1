package schedule

// Faults of a node's process and of its machine.
var (
	Crash = action(FamilyProcess, oneNode, Action{Word: "crash", Lasts: true, Counters: []string{"crash", "crash-lost-suffix"},
		Does: "it loses its memory, and a part of what its disk has not synced"}).taking(unlessRestarted, nil)
	CrashInTurn = action(FamilyProcess, oneNode, Action{Word: "crash-in-turn", Lasts: true, Counters: []string{"crash-in-turn"},
		Does: "it crashes between the commit and the last message of a turn"}).taking(always, nil)
	Restart = action(FamilyProcess, oneNode, Action{Word: "restart", Counters: []string{"restart"},
		Does: "it comes back from a crash"})
	PowerLoss = action(FamilyProcess, nothing, Action{Word: "power-loss", Lasts: true, Counters: []string{"power-loss"},
		Does: "all nodes crash at once"})
	Stop = action(FamilyProcess, oneNode, Action{Word: "stop", Lasts: true, Counters: []string{"stop"},
		Does: "it shuts down in order: it hands over first"}).taking(always, nil)
	Slow = action(FamilyProcess, nodeAndTime, Action{Word: "slow", Lasts: true, Counters: []string{"slow-host"},
		Does: "adds up to that time to each of its turns"})
	Pause = action(FamilyProcess, oneNode, Action{Word: "pause", Lasts: true, Counters: []string{"pause"},
		Does: "its process stands still and keeps its memory"}).taking(always, nil)
	Suspend = action(FamilyProcess, oneNode, Action{Word: "suspend", Lasts: true, Counters: []string{"suspend"},
		Does: "its whole machine stands still, disk and network too, while its clock advances"}).taking(always, nil)
	Resume = action(FamilyProcess, oneNode, Action{Word: "resume",
		Does: "ends a pause"})
)
