package world

import (
	"slices"

	"dkv/netsim"
	"dkv/sim/schedule"
)

// HealCore ends all faults of the given hosts, of the links among them and of
// ZooKeeper. Other faults remain, and processes that are down stay down.
func (w *World) HealCore(core ...int) {
	ids := make([]netsim.HostID, 0, len(core))
	for _, host := range core {
		ids = append(ids, w.hosts[host].netID)
		w.hosts[host].heal()
	}
	w.network.HealAmong(ids...)
	w.zookeeper.Heal()
	for i, h := range w.hosts {
		if !slices.Contains(core, i) && (h.cutFromZK || h.state == Paused) {
			w.zookeeper.CutHost(schedule.HostName(i))
		}
	}
}

// HealAll ends all faults. Processes that are down stay down.
func (w *World) HealAll() {
	for _, h := range w.hosts {
		h.heal()
	}
	w.network.HealAll()
	w.zookeeper.Heal()
}
