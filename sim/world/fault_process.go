package world

import (
	"time"
)

// Crash kills the host's process, so that nothing calls it back. Of the batches
// that its disk has not synced, a drawn prefix survives; a batch is never torn.
// Crash also calls off a restart under way. It returns false if there was no
// process.
func (w *World) Crash(host int) bool { return w.hosts[host].crash() }

// CrashInTurn kills the host's process in the next turn that commits something
// and sends messages. A drawn number of the messages, 0 to 2, goes out, while no
// sync covers the commit yet. A heal or Disarm cancels a crash that has not come.
// CrashInTurn returns false if there is no process, or it has a trap already.
func (w *World) CrashInTurn(host int) bool { return w.hosts[host].crashInTurn() }

// PowerLoss crashes all hosts at one instant and returns how many had a process.
func (w *World) PowerLoss() int {
	n := 0
	for _, h := range w.hosts {
		if h.crash() {
			n++
		}
	}
	if n > 1 {
		w.Count(faultPowerLoss)
	}
	return n
}

// Stop asks the host's process to end gracefully. The host is down when the
// process has ended. Stop returns false if no process runs.
func (w *World) Stop(host int) bool { return w.hosts[host].stop() }

// Pause stops the host's process from running, as SIGSTOP does: its events wait,
// while its clock continues. It returns false if no process runs.
func (w *World) Pause(host int) bool { return w.hosts[host].pause() }

// Resume lets a paused process run again. All events that waited are ready at
// once.
func (w *World) Resume(host int) bool { return w.hosts[host].resume() }

// Suspend stops a whole machine, as a hypervisor does: its process, its network
// interface and, for at least d, its disk. What is sent to it meanwhile is lost
// or held, as by netsim's Isolate. Its clock continues. wake ends the suspension.
func (w *World) Suspend(host int, d time.Duration) (wake func()) {
	h := w.hosts[host]
	cut := w.network.Isolate(h.netID)
	w.StallDisk(host, d)
	paused := h.pause()
	return func() {
		cut.Heal()
		if paused && h.hasMissedAlarm() {
			w.Count(faultSuspend)
		}
		h.resume()
	}
}

// SlowHost delays each turn of the host's processes by a drawn time, until it is
// called with the zero Range.
func (w *World) SlowHost(host int, by Range) { w.hosts[host].slow = by }
