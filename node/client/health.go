package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A State says how well a cluster is.
type State string

const (
	Healthy     State = "healthy"
	Degraded    State = "degraded"    // all keys are served, and a further failure may stop some
	Unavailable State = "unavailable" // some keys are not served
)

// Health is what the members together say about their cluster at one time. Each was asked
// by itself, so the parts may be some seconds apart.
type Health struct {
	State       State           `json:"state"`
	Cluster     string          `json:"cluster"` // UUID; empty before the cluster forms
	Version     int             `json:"version"` // of the newest layout seen; -1 before the cluster forms
	Replication int             `json:"replication"`
	Partitions  PartitionCounts `json:"partitions"`
	Moves       Moves           `json:"moves"`
	// NoFailover is true if a member that answers finds fault with ZooKeeper: what it serves
	// stays served, and at its failure no other member may be able to take over.
	NoFailover bool           `json:"noFailover"`
	Members    []MemberHealth `json:"members"`
	Waiting    []WaitingNode  `json:"waiting"`  // registered nodes that are not members
	Strangers  []NodeStatus   `json:"-"`        // servers of this client that are not members
	Problems   []Problem      `json:"problems"` // the worst first
	View       Cluster        `json:"-"`        // the newest layout, as the node that showed it sees it
}

// PartitionCounts counts partitions by state. One may be in several.
type PartitionCounts struct {
	Total           int `json:"total"`
	Led             int `json:"led"`             // served by an active primary
	NoMajority      int `json:"noMajority"`      // not led, and too few of its replicas answer
	UnderReplicated int `json:"underReplicated"` // a replica does not answer or lacks more than a moment's writes
	Moving          int `json:"moving"`          // between two sets of replicas
	UnsafeInZone    int `json:"unsafeInZone"`    // the loss of one zone takes the majority
	// LongestLag is the greatest number of entries at the end of a log that are not known
	// to be committed.
	LongestLag uint64 `json:"longestLag"`
}

// MemberHealth is what a member of the layout said about itself, or why it said nothing.
type MemberHealth struct {
	Member
	Answers bool       `json:"answers"`
	Error   string     `json:"error,omitempty"` // why it does not answer
	Status  NodeStatus `json:"status"`          // zero unless it answers
}

// A Problem is something that an operator should know, with what to do about it.
type Problem struct {
	State State  `json:"state"` // Healthy: worth knowing, and not a fault
	What  string `json:"what"`
	Help  string `json:"help,omitempty"`
}

// Health asks each server of the client for the layout and then each member of the newest
// one about itself, all at once and each for at most bound: it takes no longer than twice
// bound, whichever of them hang. It fails only if no server answers.
func (c *Client) Health(ctx context.Context, bound time.Duration) (*Health, error) {
	at, waiting, strangers, err := c.newest(ctx, bound)
	if err != nil {
		return nil, err
	}
	h := &Health{
		Cluster: at.Cluster, Version: at.Version, Replication: at.Replication, Strangers: strangers, View: at,
		Members: []MemberHealth{}, Waiting: append([]WaitingNode{}, waiting...), Problems: []Problem{}, // [] in JSON
	}
	if at.Version < 0 {
		h.find(Unavailable, "the cluster has not formed yet: "+at.Node.Why, "start as many nodes as --expect says")
		h.conclude()
		return h, nil
	}
	views := make([]view, len(at.Members))
	var asking sync.WaitGroup
	for i, m := range at.Members {
		asking.Go(func() { views[i] = c.ask(ctx, bound, m) })
	}
	asking.Wait()
	h.judge(at, views)
	h.conclude()
	return h, nil
}

// newest returns the newest layout that a server of the client shows, the nodes that wait
// to become members, and the servers that are none.
func (c *Client) newest(ctx context.Context, bound time.Duration) (newest Cluster, waiting []WaitingNode, strangers []NodeStatus, err error) {
	pages := make([]Cluster, len(c.servers))
	lists := make([]Members, len(c.servers))
	failed := make([]error, len(c.servers))
	var asking sync.WaitGroup
	for i, server := range c.servers {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, bound)
			defer cancel()
			if failed[i] = c.pageOf(ctx, server, "/v1/cluster", &pages[i]); failed[i] == nil {
				_ = c.pageOf(ctx, server, "/v1/members", &lists[i]) // its waiting nodes are not worth a failure
			}
		})
	}
	asking.Wait()
	newest.Version = -2
	for i, page := range pages {
		if failed[i] != nil {
			continue
		}
		if page.Version > newest.Version {
			newest = page
		}
		if page.Node.Member == 0 {
			strangers = append(strangers, page.Node)
		}
		if len(lists[i].Waiting) > len(waiting) {
			waiting = lists[i].Waiting
		}
	}
	if newest.Version == -2 {
		return newest, nil, nil, errors.Join(failed...)
	}
	return newest, waiting, strangers, nil
}

func (c *Client) pageOf(ctx context.Context, server, path string, into any) error {
	body, err := c.fetch(ctx, server, path)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer in time", server)
	}
	return err
}

// view is what one member reports.
type view struct {
	member     Member
	cluster    Cluster
	partitions []Partition
	err        error
}

func (c *Client) ask(ctx context.Context, bound time.Duration, m Member) view {
	v := view{member: m}
	if m.State == "gone" {
		v.err = errors.New("gone")
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	server, err := baseURL(m.HTTP)
	if err == nil {
		err = c.pageOf(ctx, server, "/v1/cluster", &v.cluster)
	}
	if err == nil && (v.cluster.Node.ID != m.Node || v.cluster.Node.Store != m.Store) {
		err = fmt.Errorf("node %s with store %s answers at %s", v.cluster.Node.ID, v.cluster.Node.Store, m.HTTP)
	}
	if err == nil {
		var page struct{ Partitions []Partition }
		err = c.pageOf(ctx, server, "/v1/partitions", &page)
		v.partitions = page.Partitions
	}
	v.err = err
	return v
}

// judge fills in everything but the verdict.
func (h *Health) judge(at Cluster, views []view) {
	j := judgement{h: h, views: map[uint32]*view{}, best: map[uint32]*Partition{}}
	for i := range views {
		j.take(&views[i])
	}
	unsafe := map[uint32]bool{}
	for _, partitions := range at.StoppedBy {
		for _, p := range partitions {
			unsafe[p] = true
		}
	}
	h.Partitions.Total, h.Partitions.UnsafeInZone = at.Partitions, len(unsafe)
	j.zooKeeper()
	j.members()
	for p := range uint32(at.Partitions) {
		j.partition(p)
	}
	j.partitions()
	for _, zone := range slices.Sorted(maps.Keys(at.StoppedBy)) {
		h.find(Healthy, fmt.Sprintf("the loss of zone %s would stop %d partitions: %s", zone, len(at.StoppedBy[zone]), someOf(at.StoppedBy[zone])),
			"have members in as many zones as there are replicas; 'dkv cluster set zones=strict' puts zones before weights")
	}
}

// judgement gathers what a verdict rests on.
type judgement struct {
	h     *Health
	views map[uint32]*view // of members that answer, by number
	best  map[uint32]*Partition

	unled, noMajority, under []uint32
	missing                  map[uint32]int // members that do not answer: partitions that miss them
}

// take notes what a member says. Of each partition the assignment of the greatest epoch counts.
func (j *judgement) take(v *view) {
	m := MemberHealth{Member: v.member, Answers: v.err == nil}
	if v.err == nil {
		m.Status = v.cluster.Node
		j.views[v.member.Number] = v
		if j.h.Moves.Left < v.cluster.Moves.Left {
			j.h.Moves = v.cluster.Moves
		}
	} else {
		m.Error = v.err.Error()
	}
	j.h.Members = append(j.h.Members, m)
	for i := range v.partitions {
		p := &v.partitions[i]
		if best := j.best[p.ID]; best == nil || p.Epoch > best.Epoch {
			j.best[p.ID] = p
		}
		if p.Here != nil {
			j.h.Partitions.LongestLag = max(j.h.Partitions.LongestLag, p.Here.Lag)
		}
	}
}

var faultHelp = map[string]string{
	"away":            "start ZooKeeper, or see why the nodes do not reach it; what is led stays served meanwhile",
	"wiped":           "stop no node: what they lead is served as long as they run. Check --zookeeper and --cluster, then put ZooKeeper's data back",
	"rolled back":     "stop no node: what they lead is served as long as they run. Put newer data of ZooKeeper back",
	"edited":          "stop no node: what they lead is served as long as they run. Put the layout back as a node wrote it",
	"unreadable":      "start the version of dkv that wrote it, or put the znode back as a node wrote it",
	"another cluster": "check --zookeeper, --cluster, --partitions and --replication of the nodes",
}

func (j *judgement) zooKeeper() {
	says := map[string][]string{}
	why := map[string]string{}
	for _, m := range j.h.Members {
		if m.Answers && m.Status.Fault != "" {
			says[m.Status.Fault] = append(says[m.Status.Fault], m.Node)
			why[m.Status.Fault] = cmp.Or(why[m.Status.Fault], m.Status.FaultWhy)
		}
	}
	j.h.NoFailover = len(says) > 0
	for _, kind := range slices.Sorted(maps.Keys(says)) {
		j.h.find(Degraded, fmt.Sprintf("no failover: ZooKeeper is %s, say %s: %s", kind, strings.Join(says[kind], ", "), why[kind]), faultHelp[kind])
	}
}

func (j *judgement) members() {
	for _, m := range j.h.Members {
		switch {
		case m.State == "gone":
		case m.State == "replaced":
			// Its data is with others, or on its way there, which the partitions show.
			j.h.find(Healthy, fmt.Sprintf("%s (member %d) was replaced", m.Node, m.Number),
				fmt.Sprintf("start it again, or forget it: dkv member remove %s", m.Node))
		case !m.Answers:
			j.h.find(Degraded, fmt.Sprintf("%s (member %d) does not answer: %s", m.Node, m.Number, m.Error),
				fmt.Sprintf("start it again; if its disk is lost: dkv member replace %s NEW, or start it with an empty data directory and run dkv member replace %s %s", m.Node, m.Node, m.Node))
		case !m.Status.Ready:
			j.h.find(Degraded, fmt.Sprintf("%s (member %d) is not ready: %s", m.Node, m.Number, m.Status.Why), "")
		}
	}
}

// partition judges one partition by the assignment of its greatest epoch.
func (j *judgement) partition(id uint32) {
	p, counts := j.best[id], &j.h.Partitions
	if p == nil { // no member answers
		j.unled, j.noMajority, j.under = append(j.unled, id), append(j.noMajority, id), append(j.under, id)
		return
	}
	if len(p.Next) > 0 {
		counts.Moving++
	}
	behind := map[uint32]bool{}
	led := false
	if v := j.views[p.Primary]; v != nil {
		if here := v.here(id); here != nil && v.partitions[id].Epoch == p.Epoch {
			led = here.Role == "primary"
			for _, m := range here.Behind {
				behind[m] = true
			}
		}
	}
	for _, m := range slices.Concat(p.Replicas, p.Next) {
		if v := j.views[m]; v == nil || v.here(id) == nil {
			behind[m] = true
			j.miss(m)
		}
	}
	if len(behind) > 0 || len(p.Replicas) < j.h.Replication {
		j.under = append(j.under, id)
	}
	if led {
		counts.Led++
		return
	}
	j.unled = append(j.unled, id)
	if !j.majority(id, p.Replicas) || len(p.Next) > 0 && !j.majority(id, p.Next) {
		j.noMajority = append(j.noMajority, id)
	}
}

func (j *judgement) miss(m uint32) {
	if j.missing == nil {
		j.missing = map[uint32]int{}
	}
	j.missing[m]++
}

func (j *judgement) majority(id uint32, set []uint32) bool {
	answer := 0
	for _, m := range set {
		if v := j.views[m]; v != nil && v.here(id) != nil {
			answer++
		}
	}
	return 2*answer > len(set)
}

// here returns the member's own copy of a partition; nil if it has none. Pages list all
// partitions in order.
func (v *view) here(id uint32) *Replica {
	if int(id) >= len(v.partitions) || v.partitions[id].ID != id {
		return nil
	}
	return v.partitions[id].Here
}

func (j *judgement) partitions() {
	h := j.h
	h.Partitions.NoMajority, h.Partitions.UnderReplicated = len(j.noMajority), len(j.under)
	away := j.away()
	if n := len(j.noMajority); n > 0 {
		help := "see what the nodes that hold them log"
		if away != "" {
			help = "start " + away + " again, with the data directories they had: nothing else has what they store"
		}
		h.find(Unavailable, fmt.Sprintf("%d partitions have no majority of their replicas: %s", n, someOf(j.noMajority)), help)
	}
	waiting := slices.DeleteFunc(slices.Clone(j.unled), func(p uint32) bool { return slices.Contains(j.noMajority, p) })
	if n := len(waiting); n > 0 {
		help := "a new primary takes over within seconds; if none does, see what the nodes that hold them log"
		if h.NoFailover {
			help = "no member can take over before ZooKeeper is well: see there"
		}
		h.find(Unavailable, fmt.Sprintf("%d partitions have a majority and no active primary: %s", n, someOf(waiting)), help)
	}
	if n := len(j.under); n > 0 {
		help := "they catch up by themselves"
		if away != "" {
			help += " once " + away + " answers"
		}
		h.find(Degraded, fmt.Sprintf("%d partitions are under-replicated: %s", n, someOf(j.under)), help)
	}
}

// away names the members that do not answer and that partitions miss.
func (j *judgement) away() string {
	var names []string
	for _, m := range j.h.Members {
		if !m.Answers && j.missing[m.Number] > 0 {
			names = append(names, m.Node)
		}
	}
	return strings.Join(names, ", ")
}

func (h *Health) find(state State, what, help string) {
	h.Problems = append(h.Problems, Problem{state, what, help})
}

var badness = map[State]int{Healthy: 0, Degraded: 1, Unavailable: 2}

// conclude sorts the problems and draws the verdict from the worst.
func (h *Health) conclude() {
	slices.SortStableFunc(h.Problems, func(a, b Problem) int { return badness[b.State] - badness[a.State] })
	h.State = Healthy
	if len(h.Problems) > 0 {
		h.State = h.Problems[0].State
	}
}

// someOf lists the first of many partitions.
func someOf(partitions []uint32) string {
	const shown = 16
	if len(partitions) > shown {
		return fmt.Sprintf("%v and %d more", partitions[:shown], len(partitions)-shown)
	}
	return fmt.Sprint(partitions)
}
