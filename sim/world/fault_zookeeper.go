package world

import (
	"dkv/sim/schedule"
)

// CutZooKeeper stops all traffic between a host and ZooKeeper.
func (w *World) CutZooKeeper(host int) {
	w.hosts[host].cutFromZK = true
	w.zookeeper.CutHost(schedule.HostName(host))
}

// HealZooKeeper ends a CutZooKeeper.
func (w *World) HealZooKeeper(host int) {
	w.hosts[host].cutFromZK = false
	w.hosts[host].healZK()
}

// ExpireSession makes ZooKeeper end the session of the host's process. It
// returns false if there is no session, or ZooKeeper has no leader to end it.
func (w *World) ExpireSession(host int) bool {
	id := w.hosts[host].sessionID()
	return id != 0 && w.zookeeper.ExpireSession(id)
}
