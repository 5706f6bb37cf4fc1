package zksim

import (
	"slices"
	"time"
)

// Inspection is a picture of the service, for a person who has stopped it.
type Inspection struct {
	Phase    string // "serving", "electing" or "down"
	Leader   int    // the last one, while there is none
	Zxid     int64  // of the last committed transaction
	Servers  []ServerInspection
	Sessions []SessionInspection // by id
}

// ServerInspection is one server.
type ServerInspection struct {
	Zxid        int64 // of the last transaction that took effect here
	Connections int
	Up          bool // takes connections
	CutOff      bool // hears nothing from the leader
	Wiped       bool // lost its disk and has not caught up
	Behind      int  // transactions that it has still to apply
}

// SessionInspection is one session, as the leader has it.
type SessionInspection struct {
	ID         int64
	Host       string
	Timeout    time.Duration
	Heard      time.Duration // when its client was last heard of
	Server     int           // to which its client is connected; -1: to none
	Ephemerals []string
}

// Inspect takes the picture. It has no effect.
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
