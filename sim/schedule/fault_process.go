package schedule

// Faults of a node's process and of its machine.
var (
	Crash = action(FamilyProcess, oneNode, Action{Word: "crash", Lasts: true, Counters: []string{"crash", "crash-lost-suffix"},
		Does: "the node loses its memory and some of what its disk has not synced"}).taking(unlessRestarted, nil)
	CrashInTurn = action(FamilyProcess, oneNode, Action{Word: "crash-in-turn", Lasts: true, Counters: []string{"crash-in-turn"},
		Does: "the node crashes between the commit and the last message of a turn"}).taking(always, nil)
	Restart = action(FamilyProcess, oneNode, Action{Word: "restart", Counters: []string{"restart"},
		Does: "starts the node again after a crash"})
	PowerLoss = action(FamilyProcess, nothing, Action{Word: "power-loss", Lasts: true, Counters: []string{"power-loss"},
		Does: "all nodes crash at once"})
	Stop = action(FamilyProcess, oneNode, Action{Word: "stop", Lasts: true, Counters: []string{"stop"},
		Does: "the node shuts down in an orderly way, as on SIGTERM"}).taking(always, nil)
	Slow = action(FamilyProcess, nodeAndTime, Action{Word: "slow", Lasts: true, Counters: []string{"slow-host"},
		Does: "adds up to TIME to each of the node's turns"})
	Pause = action(FamilyProcess, oneNode, Action{Word: "pause", Lasts: true, Counters: []string{"pause"},
		Does: "the node's process is frozen and keeps its memory"}).taking(always, nil)
	Suspend = action(FamilyProcess, oneNode, Action{Word: "suspend", Lasts: true, Counters: []string{"suspend"},
		Does: "the node's whole machine is frozen, disk and network included, while its clock advances"}).taking(always, nil)
	Resume = action(FamilyProcess, oneNode, Action{Word: "resume",
		Does: "ends a pause of the node"})
)
