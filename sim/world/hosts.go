package world

import (
	"fmt"

	"dkv/node"
	"dkv/node/door"
)

// Hosts returns the number of machines.
func (w *World) Hosts() int { return len(w.hosts) }

// State returns the state of a host's process.
func (w *World) State(host int) HostState { return w.hosts[host].state }

// Running reports whether a host has a process that is not paused or stopping.
func (w *World) Running(host int) bool { return w.hosts[host].state == Up }

// ProcessNumber returns the number of a host's last process: 1 for the first, 0
// before it.
func (w *World) ProcessNumber(host int) uint64 { return w.hosts[host].processNumber }

// Failure returns the error with which a host's last process failed, or nil.
func (w *World) Failure(host int) error { return w.hosts[host].failure }

// Excused reports whether a fault of the disk explains the failure of a host's
// process.
func (w *World) Excused(host int) bool {
	h := w.hosts[host]
	return h.disk.faulted() || h.rolledBack || h.plays != NoHost
}

// Node returns the node on a host, also while it is paused or stopping; nil if
// the host has no process, or one that is not a node.
func (w *World) Node(host int) *node.Node {
	n, _ := w.hosts[host].process.(*node.Node)
	return n
}

// SessionID returns the ZooKeeper session of a host's process, or 0.
func (w *World) SessionID(host int) int64 { return w.hosts[host].sessionID() }

// Away reports whether a host's process does not run, or may end at any time
// because of a fault. A process that is booting counts as back.
func (w *World) Away(host int) bool { return w.hosts[host].away() }

// Disarm cancels a CrashInTurn that has not happened yet.
func (w *World) Disarm(host int) { w.hosts[host].disarm() }

// Drift returns by how much a host's clock is faster than true time, in parts
// per million.
func (w *World) Drift(host int) int { return int(w.hosts[host].clock.ppm) }

// Process returns the process on a host, or nil.
func (w *World) Process(host int) Process { return w.hosts[host].process }

// Store returns a host's disk, to read everything that was written, durable or
// not. It is available also while no process runs.
func (w *World) Store(host int) door.Store { return w.hosts[host].disk }

// Views returns how many Views of a host's disk are open.
func (w *World) Views(host int) int { return w.hosts[host].disk.Views() }

// Start starts a process on a host that is down, at once.
func (w *World) Start(host int) bool { return w.hosts[host].restart(0) }

// Restart starts a process on a host that is down, after a drawn recovery time.
func (w *World) Restart(host int) bool {
	h := w.hosts[host]
	return h.restart(h.recovery.within(w.cfg.Recovery))
}

// HostChange is a change of a host's process that the world reports to OnHost.
type HostChange uint8

const (
	HostStarted HostChange = iota + 1
	HostCrashed            // the process is gone, and what its disk had not synced may be
	HostPaused
	HostResumed
	HostStopped // the process ended gracefully
	HostFailed  // the process called Env.Fail or could not open its disk; see Failure
)

var hostChangeNames = [...]string{
	HostStarted: "started", HostCrashed: "crashed", HostPaused: "paused",
	HostResumed: "resumed", HostStopped: "stopped", HostFailed: "failed",
}

func (c HostChange) String() string {
	if int(c) < len(hostChangeNames) && hostChangeNames[c] != "" {
		return hostChangeNames[c]
	}
	return fmt.Sprintf("HostChange(%d)", uint8(c))
}

// HostState is the state of a host's process.
type HostState uint8

const (
	Down     HostState = iota // there is no process
	Booting                   // a process will start when the recovery time is over
	Up                        // the process runs
	Paused                    // the process exists but handles no events
	Stopping                  // the process was asked to end and has not done so yet
)

var hostStateNames = [...]string{Down: "down", Booting: "booting", Up: "up", Paused: "paused", Stopping: "stopping"}

func (s HostState) String() string {
	if int(s) < len(hostStateNames) {
		return hostStateNames[s]
	}
	return fmt.Sprintf("HostState(%d)", uint8(s))
}
