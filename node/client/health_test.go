package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeCluster is what three members say about two partitions with three replicas each, of
// which the first leads the first and the second the second. A test changes it.
type fakeCluster struct {
	cluster    map[string]any
	nodes      map[uint32]map[string]any
	partitions map[uint32][]map[string]any // by member
	silent     map[uint32]bool             // does not answer
	state      map[uint32]string           // in the layout, if not active
}

func newFakeCluster() *fakeCluster {
	f := &fakeCluster{
		cluster: map[string]any{"cluster": "u", "version": 7, "partitions": 2, "replication": 3},
		nodes:   map[uint32]map[string]any{}, partitions: map[uint32][]map[string]any{}, silent: map[uint32]bool{}, state: map[uint32]string{},
	}
	for m := range uint32(3) {
		m++
		f.nodes[m] = map[string]any{"id": fmt.Sprintf("n%d", m), "store": fmt.Sprintf("s%d", m), "member": m, "ready": true, "zookeeper": "connected"}
		for p := range uint32(2) {
			role := "replica"
			if p+1 == m {
				role = "primary"
			}
			f.partitions[m] = append(f.partitions[m], map[string]any{
				"id": p, "epoch": 4, "primary": p + 1, "replicas": []int{1, 2, 3}, "here": map[string]any{"role": role}})
		}
	}
	return f
}

func (f *fakeCluster) here(m, p uint32) map[string]any {
	return f.partitions[m][p]["here"].(map[string]any)
}

// start serves the cluster, and returns the servers of its members.
func (f *fakeCluster) start(t *testing.T) []string {
	var servers []string
	var members []any
	over := make(chan struct{})
	for m := range uint32(3) {
		m++
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if f.silent[m] {
				select {
				case <-over:
				case <-r.Context().Done():
				}
				return
			}
			var page any
			switch r.URL.Path {
			case "/v1/cluster":
				cluster := maps.Clone(f.cluster)
				cluster["node"], cluster["members"] = f.nodes[m], members
				page = cluster
			case "/v1/partitions":
				page = map[string]any{"partitions": f.partitions[m]}
			case "/v1/members":
				page = map[string]any{}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(page)
		})
		address := strings.TrimPrefix(s.URL, "http://")
		servers = append(servers, address)
		members = append(members, map[string]any{"number": m, "node": fmt.Sprintf("n%d", m), "store": fmt.Sprintf("s%d", m), "http": address, "state": cmp.Or(f.state[m], "active")})
	}
	t.Cleanup(func() { close(over) })
	return servers
}

func TestHealth(t *testing.T) {
	silent := func(members ...uint32) func(*fakeCluster) {
		return func(f *fakeCluster) {
			for _, m := range members {
				f.silent[m] = true
			}
		}
	}
	tests := []struct {
		name   string
		change func(*fakeCluster)
		state  State
		counts PartitionCounts
		says   []string // in this order
	}{
		{"healthy", func(*fakeCluster) {}, Healthy, PartitionCounts{Total: 2, Led: 2}, nil},
		{"a replica hangs", silent(3), Degraded, PartitionCounts{Total: 2, Led: 2, UnderReplicated: 2},
			[]string{"n3 (member 3) does not answer", "2 partitions are under-replicated: [0 1]; they catch up by themselves once n3 answers"}},
		{"a primary hangs", silent(1), Unavailable, PartitionCounts{Total: 2, Led: 1, UnderReplicated: 2},
			[]string{"1 partitions have a majority and no active primary: [0]", "n1 (member 1) does not answer"}},
		{"two hang", silent(1, 2), Unavailable, PartitionCounts{Total: 2, NoMajority: 2, UnderReplicated: 2},
			[]string{"2 partitions have no majority of their replicas: [0 1]; start n1, n2 again"}},
		{"a primary is quiet", func(f *fakeCluster) { f.here(1, 0)["role"] = "quiet" }, Unavailable,
			PartitionCounts{Total: 2, Led: 1}, []string{"no active primary: [0]"}},
		{"a primary was deposed", func(f *fakeCluster) {
			for m := uint32(2); m <= 3; m++ {
				f.partitions[m][0]["epoch"], f.partitions[m][0]["primary"] = 5, 3
			}
		}, Unavailable, PartitionCounts{Total: 2, Led: 1}, []string{"no active primary: [0]"}},
		{"a deposed primary and its successor", func(f *fakeCluster) {
			for m := uint32(2); m <= 3; m++ {
				f.partitions[m][0]["epoch"], f.partitions[m][0]["primary"] = 5, 3
			}
			f.here(3, 0)["role"] = "primary"
		}, Healthy, PartitionCounts{Total: 2, Led: 2}, nil},
		{"a replica is behind", func(f *fakeCluster) { f.here(2, 1)["behind"] = []int{3} }, Degraded,
			PartitionCounts{Total: 2, Led: 2, UnderReplicated: 1}, []string{"1 partitions are under-replicated: [1]; they catch up by themselves"}},
		{"a replica is missing", func(f *fakeCluster) {
			for m := uint32(1); m <= 3; m++ {
				f.partitions[m][1]["replicas"] = []int{1, 2}
			}
		}, Degraded, PartitionCounts{Total: 2, Led: 2, UnderReplicated: 1}, []string{"under-replicated: [1]"}},
		{"ZooKeeper was wiped", func(f *fakeCluster) { f.nodes[2]["fault"], f.nodes[2]["faultWhy"] = "wiped", "it has no layout" },
			Degraded, PartitionCounts{Total: 2, Led: 2}, []string{"no failover: ZooKeeper is wiped, say n2: it has no layout; stop no node"}},
		{"another node at the address", func(f *fakeCluster) { f.nodes[3]["store"] = "other" }, Degraded,
			PartitionCounts{Total: 2, Led: 2, UnderReplicated: 2}, []string{"n3 (member 3) does not answer: node n3 with store other answers at"}},
		{"a member is not ready", func(f *fakeCluster) { f.nodes[3]["ready"], f.nodes[3]["why"] = false, "catching up" }, Degraded,
			PartitionCounts{Total: 2, Led: 2}, []string{"n3 (member 3) is not ready: catching up"}},
		{"a member was replaced", func(f *fakeCluster) {
			f.silent[3], f.state[3] = true, "replaced"
			for m := uint32(1); m <= 2; m++ {
				for p := range 2 {
					f.partitions[m][p]["replicas"] = []int{1, 2}
				}
			}
			f.cluster["replication"] = 2
		}, Healthy, PartitionCounts{Total: 2, Led: 2}, []string{"n3 (member 3) was replaced; start it again, or forget it: dkv member remove n3"}},
		{"a move", func(f *fakeCluster) {
			for m := uint32(1); m <= 3; m++ {
				f.partitions[m][1]["next"] = []int{1, 2}
			}
		}, Healthy, PartitionCounts{Total: 2, Led: 2, Moving: 1}, nil},
		{"a zone", func(f *fakeCluster) { f.cluster["stoppedBy"] = map[string][]int{"a": {0, 1}, "b": {1}} }, Healthy,
			PartitionCounts{Total: 2, Led: 2, UnsafeInZone: 2}, []string{"the loss of zone a would stop 2 partitions: [0 1]", "the loss of zone b would stop 1 partitions: [1]"}},
		{"not formed", func(f *fakeCluster) {
			f.cluster["version"] = -1
			f.nodes[1]["why"], f.nodes[2]["why"], f.nodes[3]["why"] = "waiting for n4", "waiting for n4", "waiting for n4"
		}, Unavailable, PartitionCounts{}, []string{"the cluster has not formed yet: waiting for n4"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeCluster()
			test.change(f)
			servers := f.start(t)
			slices.Reverse(servers)
			h, err := connect(t, servers...).Health(t.Context(), 500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if h.State != test.state || !reflect.DeepEqual(h.Partitions, test.counts) {
				t.Errorf("%s, %+v; want %s, %+v", h.State, h.Partitions, test.state, test.counts)
			}
			text := ""
			for _, p := range h.Problems {
				text += fmt.Sprintf("%s: %s; %s\n", p.State, p.What, p.Help)
			}
			rest := text
			for _, says := range test.says {
				_, after, found := strings.Cut(rest, says)
				if !found {
					t.Errorf("no %q, in this order, in:\n%s", says, text)
				}
				rest = after
			}
			if len(test.says) == 0 && text != "" {
				t.Errorf("problems:\n%s", text)
			}
		})
	}
}

func TestHealthWithoutAnAnswer(t *testing.T) {
	f := newFakeCluster()
	f.silent[1] = true
	hung := f.start(t)[0]
	began := time.Now()
	if h, err := connect(t, hung, "127.0.0.1:1").Health(t.Context(), 200*time.Millisecond); err == nil || !strings.Contains(err.Error(), hung+": no answer in time") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%+v, %v", h, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a server that hangs was waited for for %v", took)
	}
}
