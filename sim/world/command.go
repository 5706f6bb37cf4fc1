package world

import (
	"github.com/cespare/xxhash/v2"

	"dkv/node"
)

// Wipe crashes the process on a host and replaces the host's disk with an empty one. It
// returns false if the host is about to start a process.
func (w *World) Wipe(host int) bool {
	w.Crash(host)
	return w.wipe(host)
}

// Command gives an operator's command to the node on a host, and returns false if no
// process runs there. done runs as a step of its own, with the node's answer; not at all if the
// process ends before.
func (w *World) Command(host int, c node.MemberCommand, done func(node.MemberAnswer)) bool {
	h := w.hosts[host]
	n, ok := h.process.(*node.Node)
	if !ok || h.state != Up {
		return false
	}
	payload := xxhash.Sum64String(string(c.Verb) + " " + string(c.Node) + " " + string(c.New))
	h.current.post(dispatch{kind: kindRequest, payload: payload, fn: func() {
		n.OnMemberCommand(c, func(answer node.MemberAnswer) {
			w.After(0, func() { done(answer) })
		})
	}})
	return true
}
