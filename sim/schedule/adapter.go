package schedule

// DoorView is in which ways, beyond those of zksim, sessions show what the
// adapter to the real ZooKeeper shows: each is a habit of it that a node has to
// live with. The zero value has none of them.
type DoorView struct {
	// OneAtATime: a call goes out once the one before is answered.
	OneAtATime bool
	// Deadlines: a call that can't go out within a quarter of the session
	// timeout, or has no answer within the whole of it, ends unknown. The
	// latter costs the connection.
	Deadlines bool
	// Coalesce: a change of a path is told once until the node has heard of it
	// or got an answer.
	Coalesce bool
	// Watchdog: a session that no server took back within twice its timeout
	// counts as over, though ZooKeeper may hold it alive.
	Watchdog bool
	// Rewatch is the chance, of each reconnect with watches armed, that calls
	// wait rewatchWait since nobody says that the watches are set again.
	Rewatch float64
}
