package schedule

// Faults of ZooKeeper and of a node's connection to it.
var (
	ZKExpire = action(FamilyZooKeeper, oneNode, Action{Word: "zk-expire", Counters: []string{"zk-session-expired"},
		Does: "ZooKeeper expires the node's session"})
	ZKCut = action(FamilyZooKeeper, oneNode, Action{Word: "zk-cut", Lasts: true, Counters: []string{"cut-zookeeper", "zk-host-cut"},
		Does: "the node cannot reach ZooKeeper"})
	ZKHeal = action(FamilyZooKeeper, oneNode, Action{Word: "zk-heal",
		Does: "the node can reach ZooKeeper again"})
	ZKDown = action(FamilyZooKeeper, nothing, Action{Word: "zk-down", Lasts: true, Counters: []string{"zk-service-down"},
		Does: "ZooKeeper has no quorum"})
	ZKUp = action(FamilyZooKeeper, nothing, Action{Word: "zk-up",
		Does: "ZooKeeper has a quorum again"})
	ZKLeader = action(FamilyZooKeeper, nothing, Action{Word: "zk-leader", Counters: []string{"zk-leader-changed"},
		Does: "ZooKeeper elects another leader"})
	ZKLag = action(FamilyZooKeeper, serverAndTime, Action{Word: "zk-lag", Lasts: true, Counters: []string{"zk-follower-lag"},
		Does: "a ZooKeeper server applies transactions with a lag of up to TIME"})
	ZKLoseBefore = action(FamilyZooKeeper, oneNode, Action{Word: "zk-lose-before", Counters: []string{"zk-reply-lost-before-effect"},
		Does: "the node's next write to ZooKeeper is lost, and its connection breaks"})
	ZKLoseAfter = action(FamilyZooKeeper, oneNode, Action{Word: "zk-lose-after", Counters: []string{"zk-reply-lost-after-effect"},
		Does: "the node's next write to ZooKeeper is applied, but the reply is lost"})
	ZKLate = action(FamilyZooKeeper, oneNode, Action{Word: "zk-late", Counters: []string{"zk-applied-late"},
		Does: "the node's next write to ZooKeeper breaks its connection and is applied later"})
	ZKIsolate = action(FamilyZooKeeper, server, Action{Word: "zk-isolate", Lasts: true, Counters: []string{"zk-isolated-server-read"},
		Does: "a ZooKeeper server is cut off from the leader, or the leader from the others"})
	ZKWipe = action(FamilyZooKeeper, server, Action{Word: "zk-wipe", Lasts: true, Counters: []string{"zk-wiped-server-refused"},
		Does: "a ZooKeeper server loses its disk, and has caught up when this ends"})
	ZKLoseAll = action(FamilyZooKeeper, nothing, Action{Word: "zk-lose-all",
		Does: "all ZooKeeper servers lose their disks: ZooKeeper forgets everything"})
)
