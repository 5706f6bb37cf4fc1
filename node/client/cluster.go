package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Cluster describes the layout as a node knows it, and that node.
type Cluster struct {
	Cluster     string // UUID; empty before the cluster forms
	Version     int    // of the layout; -1 before the cluster forms
	Partitions  int
	Replication int
	Settings    Settings
	Node        NodeStatus
	Members     []Member
	Burdened    []Burden
	StoppedBy   map[string][]uint32 // partitions that have no majority without a zone
	Moves       Moves
}

// Moves counts the replicas that the ring means for members which do not have them: how many
// there were when there was last one more, and how many are left. SecondsLeft is an estimate
// by how fast it went so far; 0 if nothing has moved yet, or nothing is left.
type Moves struct {
	Total       int     `json:"total"`
	Left        int     `json:"left"`
	SecondsLeft float64 `json:"secondsLeft"`
}

// Settings are what all nodes share, as a node uses it.
type Settings struct {
	Ring         int // version of the ring's rule; 0: not known yet
	Zones        string
	SuspectAfter string
	MaxDrift     int // of clocks, in millionths
}

// Burden is a member that stores more than its weight because of its zone: its share of
// all partitions, from 0 to 1.
type Burden struct {
	Member          uint32
	Share, ByWeight float64
}

// NodeStatus describes a node as it sees itself.
type NodeStatus struct {
	ID        string `json:"id"`
	Store     string `json:"store"`
	Boot      uint64 `json:"boot"`
	Member    uint32 `json:"member"` // 0 before it is a member
	Ready     bool   `json:"ready"`
	Why       string `json:"why,omitempty"` // what it is waiting for
	ZooKeeper string `json:"zookeeper"`
	// Fault says in one or two words what is wrong with ZooKeeper, as this node sees it,
	// and FaultWhy in a sentence; both are empty if nothing is.
	Fault    string `json:"fault,omitempty"`
	FaultWhy string `json:"faultWhy,omitempty"`
}

// Member is one member of the layout.
type Member struct {
	Number    uint32 `json:"number"`
	Node      string `json:"node"`
	Store     string `json:"store"`
	Peer      string `json:"peer"`
	HTTP      string `json:"http"`
	Zone      string `json:"zone,omitempty"`
	Weight    int    `json:"weight"`
	State     string `json:"state"`
	Primaries int    `json:"primaries"`
	Replicas  int    `json:"replicas"`
}

// Partition describes a partition as a node knows it.
type Partition struct {
	ID       uint32
	Epoch    uint64
	Primary  uint32
	Replicas []uint32
	Next     []uint32
	Here     *Replica // nil if the node does not store the partition
}

// Replica is a node's own copy of a partition.
type Replica struct {
	Role     string
	Promised uint64
	First    uint64
	Last     uint64
	Commit   uint64
	Applied  uint64
	Lag      uint64
	Behind   []uint32 // other replicas that do not answer or lack more than a moment's writes; known to the primary
}

// Cluster returns the view of the first server that answers.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	var page Cluster
	return page, c.page(ctx, "/v1/cluster", &page)
}

// Partitions returns the view of the first server that answers.
func (c *Client) Partitions(ctx context.Context) ([]Partition, error) {
	var page struct{ Partitions []Partition }
	err := c.page(ctx, "/v1/partitions", &page)
	return page.Partitions, err
}

// Ready reports whether the first server that answers is ready, and if not, what it
// is waiting for.
func (c *Client) Ready(ctx context.Context) (ready bool, why string, err error) {
	var page struct {
		Ready bool
		Why   string
	}
	err = c.page(ctx, "/readyz", &page)
	return page.Ready, page.Why, err
}

// Metrics returns /metrics of the first server as text.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.fetch(ctx, c.servers[0], "/metrics")
}

func (c *Client) page(ctx context.Context, path string, into any) error {
	var first error
	for _, server := range c.servers {
		body, err := c.fetch(ctx, server, path)
		if err == nil {
			if err = json.Unmarshal(body, into); err == nil {
				return nil
			}
			err = fmt.Errorf("%s%s: %w", server, path, err)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// fetch accepts any status with a JSON page, because /readyz answers 503 with one.
func (c *Client) fetch(ctx context.Context, server, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPageBytes))
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", server, path, err)
	}
	if answer.StatusCode != http.StatusOK && answer.Header.Get("Content-Type") != "application/json" {
		return nil, fmt.Errorf("%s%s: %s: %.200s", server, path, answer.Status, body)
	}
	return body, nil
}
