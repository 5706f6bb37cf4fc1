package httpapi

import (
	"net/http"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
)

// clusterPage is the body of /v1/cluster: the members of the layout, and the node
// that answers.
type clusterPage struct {
	Cluster     string       `json:"cluster"`
	Version     int32        `json:"version"` // of the layout; -1 before the cluster forms
	Partitions  int          `json:"partitions"`
	Replication int          `json:"replication"`
	Settings    settingsPage `json:"settings"`
	Node        nodePage     `json:"node"`
	Members     []memberPage `json:"members"`
	// Burdened are members that carry more than their weight because of their zones,
	// and StoppedBy the partitions that have no majority without a zone.
	Burdened  []burdenPage                  `json:"burdened"`
	StoppedBy map[string][]node.PartitionID `json:"stoppedBy"`
	Moves     movesPage                     `json:"moves"`
}

// movesPage counts the replicas that the ring means for members which do not have them.
// SecondsLeft is 0 before the first of them has arrived.
type movesPage struct {
	Total       int     `json:"total"`
	Left        int     `json:"left"`
	SecondsLeft float64 `json:"secondsLeft"`
}

func movesOf(m node.Moves) movesPage {
	page := movesPage{Total: m.Total, Left: m.Left}
	if done := m.Total - m.Left; done > 0 {
		page.SecondsLeft = m.Elapsed.Seconds() * float64(m.Left) / float64(done)
	}
	return page
}

// noStatus says why a node has no status: its loop has stopped, or waits for a disk
// that does not answer.
const noStatus = "this node is stopping or stalled"

type nodePage struct {
	ID        node.NodeID       `json:"id"`
	Store     node.StoreID      `json:"store"`
	Boot      uint64            `json:"boot"`
	Member    node.MemberNumber `json:"member"` // 0 before it is a member
	Ready     bool              `json:"ready"`
	Why       string            `json:"why,omitempty"` // what it is waiting for
	ZooKeeper string            `json:"zookeeper"`
	Fault     node.FaultKind    `json:"fault,omitempty"` // what is wrong with ZooKeeper
	FaultWhy  string            `json:"faultWhy,omitempty"`
}

type memberPage struct {
	Number    node.MemberNumber `json:"number"`
	Node      node.NodeID       `json:"node"`
	Store     node.StoreID      `json:"store"`
	Peer      string            `json:"peer"`
	HTTP      string            `json:"http"`
	Zone      string            `json:"zone,omitempty"`
	Weight    int               `json:"weight"`
	State     layout.State      `json:"state"`
	Primaries int               `json:"primaries"` // partitions it leads
	Replicas  int               `json:"replicas"`  // partitions it stores
}

func (a *API) serveCluster(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a.serveSetting(w, r)
		return
	}
	s := a.node.Status(false)
	if s == nil {
		a.refuse(w, http.StatusServiceUnavailable, noStatus)
		return
	}
	answerJSON(w, http.StatusOK, clusterOf(s))
}

func clusterOf(s *node.Status) clusterPage {
	page := clusterPage{
		Cluster: s.Cluster,
		Version: -1,
		Node: nodePage{
			ID: s.Node, Store: s.Store, Boot: s.Boot, Member: s.Member,
			Ready: s.Ready, Why: s.Why, ZooKeeper: s.Session, Fault: s.Fault.Kind, FaultWhy: s.Fault.Why,
		},
		Settings:  settingsOf(s.Settings),
		Members:   []memberPage{},
		Burdened:  burdensOf(s),
		StoppedBy: map[string][]node.PartitionID{},
		Moves:     movesOf(s.Moves),
	}
	if s.Layout == nil {
		return page
	}
	page.StoppedBy = stoppedBy(s.Layout)
	page.Version = s.Layout.Version()
	page.Partitions = s.Layout.Q()
	page.Replication = s.Layout.Replication()
	primaries, replicas := map[node.MemberNumber]int{}, map[node.MemberNumber]int{}
	for _, p := range s.Layout.Partitions() {
		primaries[p.Primary]++
		for _, m := range p.Replicas {
			replicas[m]++
		}
	}
	for _, m := range s.Layout.Members() {
		page.Members = append(page.Members, memberPage{
			Number: m.Number, Node: m.Node, Store: m.Store, Peer: m.Peer, HTTP: m.HTTP,
			Zone: m.Zone, Weight: m.Weight, State: m.State,
			Primaries: primaries[m.Number], Replicas: replicas[m.Number],
		})
	}
	return page
}

// partitionPage is one entry of /v1/partitions: the assignment as this node knows
// it and, if the node stores the partition, the state of its log.
type partitionPage struct {
	ID       node.PartitionID    `json:"id"`
	Epoch    node.Epoch          `json:"epoch"`
	Primary  node.MemberNumber   `json:"primary"`
	Replicas []node.MemberNumber `json:"replicas"`
	Next     []node.MemberNumber `json:"next,omitempty"` // members that the partition is moving to
	Here     *replicaPage        `json:"here,omitempty"`
}

type replicaPage struct {
	Role     string     `json:"role"`
	Promised node.Epoch `json:"promised"`
	First    door.Index `json:"first"`
	Last     door.Index `json:"last"`
	Commit   door.Index `json:"commit"`
	Applied  door.Index `json:"applied"`
	// Lag is the number of entries at the end of the log that are not known to be
	// committed.
	Lag door.Index `json:"lag"`
	// Behind are other replicas that do not answer or lack more than a moment's writes; the
	// primary knows them.
	Behind []node.MemberNumber `json:"behind,omitempty"`
}

func (a *API) servePartitions(w http.ResponseWriter, r *http.Request) {
	s := a.node.Status(true)
	if s == nil {
		a.refuse(w, http.StatusServiceUnavailable, noStatus)
		return
	}
	list := make([]partitionPage, 0, len(s.Partitions))
	for _, p := range s.Partitions {
		list = append(list, partitionOf(p))
	}
	answerJSON(w, http.StatusOK, struct {
		Node       node.NodeID       `json:"node"`
		Member     node.MemberNumber `json:"member"`
		Partitions []partitionPage   `json:"partitions"`
	}{s.Node, s.Member, list})
}

func partitionOf(p node.PartitionStatus) partitionPage {
	page := partitionPage{
		ID: p.ID, Epoch: p.Assignment.Epoch, Primary: p.Assignment.Primary,
		Replicas: p.Assignment.Replicas, Next: p.Assignment.Next,
	}
	if p.Here {
		page.Here = &replicaPage{
			Role: p.Role, Promised: p.Promised, First: p.First, Last: p.Last,
			Commit: p.Commit, Applied: p.Applied, Lag: p.Last - min(p.Commit, p.Last), Behind: p.Behind,
		}
	}
	return page
}

// serveHealth reports whether the loop is running.
func (a *API) serveHealth(w http.ResponseWriter, r *http.Request) {
	if a.node.Status(false) == nil {
		a.refuse(w, http.StatusServiceUnavailable, noStatus)
		return
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "live"})
}

type readyPage struct {
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"`
}

// serveReady reports whether the node serves clients, and if not, what it is
// waiting for.
func (a *API) serveReady(w http.ResponseWriter, r *http.Request) {
	page := readyPage{Why: noStatus}
	if s := a.node.Status(false); s != nil {
		page = readyPage{Ready: s.Ready, Why: s.Why}
	}
	status := http.StatusOK
	if !page.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	}
	answerJSON(w, status, page)
}

func (a *API) serveMetrics(w http.ResponseWriter, r *http.Request) {
	a.metricsPage.ServeHTTP(w, r)
}
