package zkserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// version is what four-letter words show, in the form that clients parse: the
// ZooKeeper whose behaviour this
// server has.
const version = "3.8.0-dkv, built on 01/01/2024 00:00 UTC"

// fourLetterWord is the command that a connection opens with, or "".
func fourLetterWord(first []byte) string {
	switch word := string(first); word {
	case "ruok", "srvr", "stat", "mntr":
		return word
	}
	return ""
}

func (s *Server) fourLetterText(word string) string {
	switch word {
	case "ruok":
		return "imok"
	case "mntr":
		return s.monitorText()
	case "stat":
		return s.statusText(true)
	}
	return s.statusText(false)
}

func (s *Server) statusText(clients bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s\n", version)
	if clients {
		b.WriteString("Clients:\n")
		for _, id := range slices.Sorted(maps.Keys(s.byID)) {
			c := s.byID[id]
			fmt.Fprintf(&b, " /%s[1](queued=0,recved=%d,sent=%d)\n", c.nc.RemoteAddr(), c.counts.received, c.counts.sent)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Latency min/avg/max: 0/0.0/0\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: 0\nZxid: %#x\nMode: standalone\nNode count: %d\n",
		s.total.received, s.total.sent, len(s.byID), s.zxid, s.tree.Len())
	return b.String()
}

func (s *Server) monitorText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zk_version\t%s\nzk_server_state\tstandalone\n", version)
	rows := []struct {
		name  string
		value int64
	}{
		{"packets_received", s.total.received},
		{"packets_sent", s.total.sent},
		{"num_alive_connections", int64(len(s.byID))},
		{"outstanding_requests", 0},
		{"znode_count", int64(s.tree.Len())},
		{"watch_count", int64(s.watches.Len())},
		{"ephemerals_count", int64(s.tree.EphemeralCount())},
		{"global_sessions", int64(len(s.sessions))},
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "zk_%s\t%d\n", r.name, r.value)
	}
	return b.String()
}
