package world

import (
	"strconv"

	"dkv/node"
)

// SetRing makes an administrator ask a host's node to have the cluster place partitions by
// a version of the ring's rule. A host that is down does nothing.
func (w *World) SetRing(host, version int) {
	h := w.hosts[host]
	n, ok := h.process.(interface {
		OnSettingCommand(c node.SettingCommand, done func(node.MemberAnswer))
	})
	if !ok {
		return
	}
	h.current.post(dispatch{kind: kindRequest, payload: uint64(version), fn: func() {
		n.OnSettingCommand(node.SettingCommand{Name: "ring", Value: strconv.Itoa(version)}, func(node.MemberAnswer) {})
	}})
}
