package httpapi

import (
	"encoding/json"
	"net/http"

	"dkv/node"
	"dkv/node/layout"
)

// settingsPage is part of the body of /v1/cluster: what all nodes share, as the node
// that answers uses it.
type settingsPage struct {
	Ring         int    `json:"ring"` // version of the ring's rule; 0 before the record was read
	Zones        string `json:"zones,omitempty"`
	SuspectAfter string `json:"suspectAfter"`
	MaxDrift     int    `json:"maxDrift"` // millionths
}

func settingsOf(s node.Settings) settingsPage {
	return settingsPage{Ring: s.Ring, Zones: string(s.Zones), SuspectAfter: s.SuspectAfter.String(), MaxDrift: s.DriftPPM}
}

// burdenPage is a member that carries more than its weight because of its zone: shares of
// all partitions, from 0 to 1.
type burdenPage struct {
	Member   node.MemberNumber `json:"member"`
	Share    float64           `json:"share"`
	ByWeight float64           `json:"byWeight"`
}

func burdensOf(s *node.Status) []burdenPage {
	burdens := []burdenPage{}
	for _, b := range s.Burdens {
		burdens = append(burdens, burdenPage{node.MemberNumber(b.Number), b.Due, b.ByWeight})
	}
	return burdens
}

// stoppedBy lists, for each zone of the members, the partitions that have no majority
// without it.
func stoppedBy(l *layout.Layout) map[string][]node.PartitionID {
	zone := map[node.MemberNumber]string{}
	for _, m := range l.Members() {
		zone[m.Number] = m.Zone
	}
	stopped := map[string][]node.PartitionID{}
	for p, a := range l.Partitions() {
		in := map[string]int{}
		for _, m := range a.Replicas {
			in[zone[m]]++
		}
		// order-free: each zone has a list of its own
		for z, n := range in {
			if z != "" && 2*(len(a.Replicas)-n) <= len(a.Replicas) {
				stopped[z] = append(stopped[z], node.PartitionID(p))
			}
		}
	}
	return stopped
}

// serveSetting changes a setting of the cluster: the body names it and its value. The
// answers are those of /v1/members.
func (a *API) serveSetting(w http.ResponseWriter, r *http.Request) {
	command, err := readCommand(a, w, r, decodeSetting)
	if err != nil {
		a.reject(w, err)
		return
	}
	a.answerCommand(w, a.awaitAnswer(func(done func(node.MemberAnswer)) bool { return a.node.Set(command, done) }, "see 'dkv cluster show'"))
}

// decodeSetting reads which setting to set to what. Both are text.
func decodeSetting(body []byte) (c node.SettingCommand, err error) {
	fields := map[string]json.RawMessage{}
	if decodeObject(body, fields) == nil && len(fields) == 2 &&
		json.Unmarshal(fields["set"], &c.Name) == nil && json.Unmarshal(fields["to"], &c.Value) == nil && c.Name != "" {
		return c, nil
	}
	return c, badInput(http.StatusBadRequest, `the body is not a JSON object such as {"set":"ring","to":"2"}`)
}
