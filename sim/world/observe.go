package world

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"dkv/node"
)

// tell makes a change of a host's process part of the trace.
func (w *World) tell(h *host, change HostChange) {
	w.trace.step(w.Now(), h.processNumber, h.index, kindProcess, uint64(change))
	if w.trace.printing() {
		w.trace.print(w.Now(), h.index, kindProcess, change.String())
	}
	if w.cfg.OnHost != nil {
		w.cfg.OnHost(h.index, change)
	}
}

// observer is a node's Observer. It makes what the node reports part of the trace.
type observer struct{ process *hostProcess }

func (o observer) Observe(ev node.Event) {
	if o.process.ended {
		return
	}
	w, host := o.process.world(), o.process.host.index
	w.trace.step(w.Now(), o.process.number, host, kindNodeEvent, eventHash(&ev))
	if w.trace.printing() {
		w.trace.print(w.Now(), host, kindNodeEvent, EventWords(&ev))
	}
	if w.cfg.OnEvent != nil {
		w.cfg.OnEvent(host, ev)
	}
}

func eventHash(ev *node.Event) uint64 {
	h := mix(uint64(ev.Kind)<<32 | uint64(ev.Partition))
	h = mix(h ^ uint64(ev.Epoch))
	h = mix(h ^ uint64(ev.Index))
	h = mix(h ^ uint64(ev.Peer))
	h = mix(h ^ ev.Hash)
	if ev.Text != "" {
		h = mix(h ^ xxhash.Sum64String(ev.Text))
	}
	return h
}

// EventWords describes an event that a node reported, for the lines of a trace.
func EventWords(ev *node.Event) string {
	return fmt.Sprintf("%v p=%d e=%d i=%d peer=%d %s", ev.Kind, ev.Partition, ev.Epoch, ev.Index, ev.Peer, ev.Text)
}
