package node

import "fmt"

// A FaultKind says in one word what is wrong with ZooKeeper.
type FaultKind string

const (
	FaultAway       FaultKind = "away"            // there is no connection
	FaultWiped      FaultKind = "wiped"           // what the cluster keeps there is missing
	FaultOther      FaultKind = "another cluster" // it holds a cluster that this node's flags or data do not fit
	FaultRolledBack FaultKind = "rolled back"     // its layout is older than one that this node has seen
	FaultEdited     FaultKind = "edited"          // its layout contradicts what this node has seen
	FaultUnreadable FaultKind = "unreadable"      // it was damaged, or written by a later version
)

// FaultKinds are all of them.
var FaultKinds = []FaultKind{FaultAway, FaultWiped, FaultOther, FaultRolledBack, FaultEdited, FaultUnreadable}

// A Fault is what is wrong with ZooKeeper, as a node last saw it; Kind is empty if nothing is.
// While it lasts, that node serves what it leads and changes nothing: no partition gets
// another primary or other replicas by its doing.
type Fault struct {
	Kind FaultKind
	Why  string // for an operator: what is wrong and what to do
}

// faulty notes what is wrong with ZooKeeper until a reading shows otherwise, and raises the
// alarm.
func (n *Node) faulty(at *Fault, kind FaultKind, format string, args ...any) {
	*at = Fault{kind, fmt.Sprintf(format, args...)}
	n.alarm("%s", at.Why)
}

// fault returns what is wrong with ZooKeeper. What was read before the connection broke may
// have been put right since, so that comes last.
func (n *Node) fault() Fault {
	switch m := &n.member; {
	case !m.up:
		return Fault{FaultAway, "ZooKeeper does not answer"}
	case m.fault.Kind != "":
		return m.fault
	}
	return n.planner.fault
}
