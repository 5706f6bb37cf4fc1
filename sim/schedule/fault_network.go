package schedule

// Faults of the network between the nodes.
var (
	CutOneWay = action(FamilyNetwork, link, Action{Word: "cut", Lasts: true, Counters: []string{"net-cut-one-way"},
		Does: "frames from the first node to the second are lost or held"}).taking(nil, cutOneWay)
	CutTwoWay = action(FamilyNetwork, linkBothWays, Action{Word: "cut", Lasts: true, Counters: []string{"net-cut-two-way"},
		Does: "frames between the two nodes are lost or held"}).taking(nil, cutTwoWay)
	Isolate = action(FamilyNetwork, oneNode, Action{Word: "isolate", Lasts: true, Counters: []string{"net-isolate"},
		Does: "the node is cut off from all other nodes, but not from ZooKeeper"}).taking(nil, cutFromRest)
	Mute = action(FamilyNetwork, oneNode, Action{Word: "mute", Lasts: true, Counters: []string{"net-cut-one-way"},
		Does: "frames from the node to all others are lost or held"}).taking(nil, cutFromOne)
	Split = action(FamilyNetwork, someNodes, Action{Word: "split", Lasts: true,
		Does: "these nodes are cut off from all others"}).taking(nil, cutApart)
	Cordon = action(FamilyNetwork, twoNodes, Action{Word: "cordon", Lasts: true,
		Does: "the first node is cut off from all nodes except the second"}).taking(nil, cutFromRest)
	Bridge = action(FamilyNetwork, oneNode, Action{Word: "bridge", Lasts: true, Counters: []string{"net-bridge"},
		Does: "the other nodes are split into two halves, and only this node reaches both"}).taking(nil, cutHalves)
	Clog = action(FamilyNetwork, oneNode, Action{Word: "clog", Lasts: true, Counters: []string{"net-clog"},
		Does: "all frames to and from the node are held"}).taking(nil, cutFromRest)
	Delay = action(FamilyNetwork, linkAndTime, Action{Word: "delay", Lasts: true, Counters: []string{"net-delay"},
		Does: "adds TIME to each frame from the first node to the second"})
	Late = action(FamilyNetwork, nodeAndTime, Action{Word: "late", Lasts: true, Counters: []string{"net-late"},
		Does: "frames to the node take ever longer: one sent x after the fault began takes x longer, up to TIME"})
	Throttle = action(FamilyNetwork, linkAndRate, Action{Word: "throttle", Lasts: true, Counters: []string{"net-slow"},
		Does: "limits the link from the first node to the second to BYTES per second"})
	SetRates = action(FamilyNetwork, frameRates, Action{Word: "rates", Lasts: true,
		Counters: []string{"net-loss", "net-duplicate", "net-reorder", "net-corrupt", "net-reset", "net-half-open", "net-hint-loss"},
		Does:     "sets per-frame fault probabilities"})
	Heal = action(FamilyNetwork, nothing, Action{Word: "heal",
		Does: "ends all network faults"})
)
