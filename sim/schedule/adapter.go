package schedule

// DoorView lists the peculiarities of the adapter to the real ZooKeeper that the
// simulated sessions imitate, beyond those of zksim itself. A node must cope with
// all of them. The zero value has none.
type DoorView struct {
	// OneAtATime: a call is sent only when the previous one is answered.
	OneAtATime bool
	// Deadlines: a call that cannot be sent within a quarter of the session timeout,
	// or is not answered within the whole timeout, ends with an unknown outcome. In
	// the latter case the connection is closed too.
	Deadlines bool
	// Coalesce: a change of a path is reported only once until the node has
	// received the report or an answer.
	Coalesce bool
	// Watchdog: a session that no server accepts again within twice its timeout
	// counts as over, though ZooKeeper may keep it alive.
	Watchdog bool
	// Rewatch is the probability, for each reconnect with watches armed, that calls
	// wait for a while because nothing reports that the watches are set again.
	Rewatch float64
}
