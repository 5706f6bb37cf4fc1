package schedule

// What happens to the cluster's members: a lost disk, and an operator's commands.
var (
	Join = action(FamilyAdministrator, oneNode, Action{Word: "join", Counters: []string{"join"},
		Does: "an operator approves the node, which is not a member, so that it joins"})
	Wipe = action(FamilyAdministrator, oneNode, Action{Word: "wipe", Lasts: true, Counters: []string{"wipe-disk"},
		Does: "the node's disk is replaced by an empty one; afterwards an operator gives it the place of the old one"}).taking(always, nil)
	Drain = action(FamilyAdministrator, oneNode, Action{Word: "drain", Lasts: true, Counters: []string{"drain"},
		Does: "an operator drains the member; afterwards it is told to stay"})
	Leave = action(FamilyAdministrator, oneNode, Action{Word: "leave", Counters: []string{"leave"},
		Does: "an operator drains the member, stops it once it holds nothing, removes it, and starts it again on its disk"})
)
