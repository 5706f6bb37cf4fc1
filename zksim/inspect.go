package zksim

import (
	"slices"
	"time"
)

// Inspection is a snapshot of the service, for a person who has paused a run.
type Inspection struct {
	Phase    string // "serving", "electing" or "down"
	Leader   int    // during an election, the last one
	Zxid     int64  // of the last committed transaction
	Servers  []ServerInspection
	Sessions []SessionInspection // by id
}

// ServerInspection is one server.
type ServerInspection struct {
	Zxid        int64 // of the last transaction that the server applied
	Connections int
	Up          bool // accepts connections
	CutOff      bool // from the leader
	Wiped       bool // lost its disk and has not caught up
	Behind      int  // number of transactions still to be applied
}

// SessionInspection is one session, as the leader has it.
type SessionInspection struct {
	ID         int64
	Host       string
	Timeout    time.Duration
	Heard      time.Duration // when the leader last heard from its client
	Server     int           // that its client is connected to, or -1
	Ephemerals []string
}

// Inspect returns a snapshot. It has no effect on the run.
func (s *Service) Inspect() Inspection {
	i := Inspection{
		Phase:  [...]string{serving: "serving", electing: "electing", down: "down"}[s.phase],
		Leader: s.leader.id, Zxid: s.zxid,
	}
	for _, v := range s.servers {
		i.Servers = append(i.Servers, ServerInspection{
			Zxid: v.tree.Zxid(), Connections: len(v.conns), Up: v.up, CutOff: v.cutOff, Wiped: v.wiped,
			Behind: s.logEnd() - v.applied,
		})
	}
	// order-free: the sessions are sorted below.
	for id, l := range s.leases {
		view := SessionInspection{ID: id, Host: l.host, Timeout: l.timeout, Heard: l.heard, Server: -1, Ephemerals: s.leader.tree.Ephemerals(id)}
		if l.client != nil {
			view.Server = l.client.Server()
		}
		i.Sessions = append(i.Sessions, view)
	}
	slices.SortFunc(i.Sessions, func(a, b SessionInspection) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return i
}
