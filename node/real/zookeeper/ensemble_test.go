package zookeeper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// zooKeeperEnsemble is three processes that have elected a leader.
type zooKeeperEnsemble struct {
	leader, follower string // addresses
}

// startZooKeeperEnsemble starts three servers that end with the test, or skips the
// test as startZooKeeper does.
func startZooKeeperEnsemble(t *testing.T) zooKeeperEnsemble {
	return startTwice(t, tryZooKeeperEnsemble)
}

func tryZooKeeperEnsemble(t *testing.T) (e zooKeeperEnsemble, err error) {
	members := "tickTime=200\nmaxSessionTimeout=60000\ninitLimit=50\nsyncLimit=25\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\nstandaloneEnabled=false\n"
	for n := range 3 {
		members += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", n+1, portBelowEphemeral(t), portBelowEphemeral(t))
	}
	var processes []*zooKeeperProcess
	for n := range 3 {
		dir, port := t.TempDir(), portBelowEphemeral(t)
		config := filepath.Join(dir, "zoo.cfg")
		text := fmt.Sprintf("%sdataDir=%s\nclientPort=%d\n", members, dir, port)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return e, err
		}
		if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Append(nil, n+1), 0o600); err != nil {
			return e, err
		}
		z, err := launchZooKeeper(t, port, "quorum.QuorumPeerMain", config)
		if err != nil {
			return e, err
		}
		processes = append(processes, z)
	}
	for _, z := range processes {
		text, err := z.awaitServing()
		switch {
		case err != nil:
			return e, err
		case strings.Contains(text, "Mode: leader"):
			e.leader = z.address
		default:
			e.follower = z.address
		}
	}
	if e.leader == "" || e.follower == "" {
		return e, fmt.Errorf("an ensemble without a leader or a follower: %+v", e)
	}
	return e, nil
}
