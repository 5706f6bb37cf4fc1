package zkserver

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/zksim/zktree"
)

// version is what four-letter words show: the version of ZooKeeper that this server
// behaves like. The date has the form that go-zookeeper parses, which 3.8 does not
// use.
const version = "3.8.0-dkv, built on 01/01/2024 00:00 UTC"

// words maps each four-letter word to the function that computes its answer, in a
// turn.
var words = map[string]func(*Server) string{
	"ruok": func(*Server) string { return "imok" },
	"isro": func(*Server) string { return "rw" },
	"srvr": func(s *Server) string { return s.versionLine() + s.statusText() },
	"stat": (*Server).clientsText,
	"cons": func(s *Server) string { return s.connectionLines(true) + "\n" },
	"mntr": (*Server).monitorText,
	"conf": (*Server).configText,
	"envi": func(*Server) string { return environmentText() },
	"dump": (*Server).sessionsText,
}

// fourLetterWord returns the word that a connection begins with, or "".
func fourLetterWord(first []byte) string {
	if words[string(first)] == nil {
		return ""
	}
	return string(first)
}

func (s *Server) versionLine() string { return "Zookeeper version: " + version + "\n" }

func (s *Server) clientsText() string {
	return s.versionLine() + "Clients:\n" + s.connectionLines(false) + "\n" + s.statusText()
}

// statusText counts as ZooKeeper does: the root counts twice, because it has two
// paths there, and the connection that asks counts too.
func (s *Server) statusText() string {
	l := s.latency.get()
	var b strings.Builder
	fmt.Fprintf(&b, "Latency min/avg/max: %d/%s/%d\n", l.least.Milliseconds(), millis(l.average()), l.most.Milliseconds())
	fmt.Fprintf(&b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\n", s.total.received, s.total.sent, len(s.connected()), s.outstanding())
	fmt.Fprintf(&b, "Zxid: %#x\nMode: standalone\nNode count: %d\n", s.shown.Zxid(), s.shown.Len()+1)
	return b.String()
}

// millis formats a number with one to four decimals.
func millis(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

// connected returns all connections, by their numbers.
func (s *Server) connected() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.open), func(a, b *conn) int { return int(a.id - b.id) })
}

// outstanding returns how many requests were read and not yet answered.
func (s *Server) outstanding() int64 {
	total := int64(0)
	for _, c := range s.byID {
		total += c.outstanding()
	}
	return total
}

func (c *conn) outstanding() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.counts.asked-c.latency.count)
}

func (s *Server) connectionLines(all bool) string {
	var b strings.Builder
	for _, c := range s.connected() {
		interested := 0 // ZooKeeper shows 1 while its selector waits for a request
		if c.session != nil {
			interested = 1
		}
		fmt.Fprintf(&b, " /%s[%d](queued=%d,recved=%d,sent=%d", c.nc.RemoteAddr(), interested, c.outstanding(), c.counts.received, c.counts.sent)
		if all && c.session != nil {
			b.WriteString(s.sessionFields(c))
		}
		b.WriteString(")\n")
	}
	return b.String()
}

// sessionFields returns what cons adds for a connection with a session.
func (s *Server) sessionFields(c *conn) string {
	c.mu.Lock()
	l := c.latency
	c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, ",sid=%#x,lop=%s,est=%d,to=%d", c.session.id, operationName(c.last.op), c.last.began.UnixMilli(), c.session.timeout.Milliseconds())
	if c.last.xid >= 0 {
		fmt.Fprintf(&b, ",lcxid=%#x", c.last.xid)
	}
	answered := int64(0)
	if l.count > 0 {
		answered = l.at.Sub(s.began).Milliseconds()
	}
	fmt.Fprintf(&b, ",lzxid=%#x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", c.last.zxid, answered,
		l.new.Milliseconds(), l.least.Milliseconds(), int64(l.average()), l.most.Milliseconds())
	return b.String()
}

// operationName returns ZooKeeper's abbreviation.
func operationName(op int32) string {
	names := map[int32]string{
		0: "SESS", int32(zktree.OpCreate): "CREA", int32(zktree.OpCreate2): "CREA", int32(zktree.OpContainer): "CREA",
		int32(zktree.OpCreateTTL): "CREA", int32(zktree.OpDelete): "DELE", int32(zktree.OpSetData): "SETD",
		int32(zktree.OpSetACL): "SETA", int32(zktree.OpCheck): "CHEC", int32(zktree.OpMulti): "MULT",
		opExists: "EXIS", opGetData: "GETD", opGetACL: "GETA", opGetChildren: "GETC", opChildren2: "GETC",
		opSync: "SYNC", opPing: "PING", opCheckWatches: "CHKW", opRemoveWatches: "REMW", opMultiRead: "MLTR",
		opSetWatches: "SETW", opSetWatches2: "STW2", opGetEphemerals: "GETE", opAllChildrenNumber: "GETACN",
		opAddWatch: "ADDW", opWhoAmI: "HOMI",
	}
	if name, ok := names[op]; ok {
		return name
	}
	return "NA"
}

func (s *Server) monitorText() string {
	l := s.latency.get()
	var b strings.Builder
	fmt.Fprintf(&b, "zk_version\t%s\nzk_server_state\tstandalone\n", version)
	rows := []struct {
		name  string
		value any
	}{
		{"ephemerals_count", s.shown.EphemeralCount()},
		{"num_alive_connections", len(s.connected())},
		{"avg_latency", millis(l.average())},
		{"outstanding_requests", s.outstanding()},
		{"znode_count", s.shown.Len() + 1},
		{"global_sessions", len(s.sessions)},
		{"packets_sent", s.total.sent},
		{"packets_received", s.total.received},
		{"watch_count", s.watches.Len()},
		{"min_latency", l.least.Milliseconds()},
		{"max_latency", l.most.Milliseconds()},
		{"uptime", time.Since(s.began).Milliseconds()},
		{"local_sessions", 0},
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "zk_%s\t%v\n", r.name, r.value)
	}
	return b.String()
}

func (s *Server) configText() string {
	port := -1
	if addr := s.Addr(); addr != nil {
		_, text, _ := strings.Cut(addr.String(), "]") // of an IPv6 address
		if text == "" {
			text = addr.String()
		}
		if n, err := strconv.Atoi(text[strings.LastIndexByte(text, ':')+1:]); err == nil {
			port = n
		}
	}
	return fmt.Sprintf("clientPort=%d\ndataDir=%s\ntickTime=%d\nmaxConnections=%d\nminSessionTimeout=%d\nmaxSessionTimeout=%d\nserverId=0\n",
		port, s.opts.Dir, s.opts.Tick.Milliseconds(), s.opts.MaxConnections,
		s.opts.MinSessionTimeout.Milliseconds(), s.opts.MaxSessionTimeout.Milliseconds())
}

func environmentText() string {
	host, _ := os.Hostname() // without a name the line stays empty
	dir, _ := os.Getwd()     // likewise
	return fmt.Sprintf("Environment:\nzookeeper.version=%s\nhost.name=%s\ngo.version=%s\nos.name=%s\nos.arch=%s\nuser.dir=%s\n",
		version, host, runtime.Version(), runtime.GOOS, runtime.GOARCH, dir)
}

// sessionsText is the answer to dump: the sessions and their ephemerals.
func (s *Server) sessionsText() string {
	var b strings.Builder
	b.WriteString("SessionTracker dump:\n")
	ids := s.tree.Sessions()
	fmt.Fprintf(&b, "Global Sessions(%d):\n", len(ids))
	owners := 0
	for _, id := range ids {
		fmt.Fprintf(&b, "%#x\t%dms\n", id, s.sessions[id].timeout.Milliseconds())
		if len(s.shown.Ephemerals(id)) > 0 {
			owners++
		}
	}
	fmt.Fprintf(&b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", owners)
	for _, id := range ids {
		paths := s.shown.Ephemerals(id)
		if len(paths) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%#x:\n", id)
		for _, path := range paths {
			fmt.Fprintf(&b, "\t%s\n", path)
		}
	}
	return b.String()
}
