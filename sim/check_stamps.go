package sim

import (
	"fmt"

	"dkv/sim/schedule"
)

// notRecognized returns an error while a node runs on a disk that was rolled back, as if
// nothing were missing on it. Enough others know better, and can be reached, so it has to
// have ended, or to wait.
func (r *run) notRecognized() error {
	for host := range r.world.Hosts() {
		if !r.world.RolledBack(host) || r.world.Failure(host) != nil {
			continue
		}
		if n := r.world.Node(host); n == nil || !n.Distrusted() {
			return fmt.Errorf("the disk of %s was rolled back, but its node neither ended nor waits", schedule.HostName(host))
		}
	}
	return nil
}
