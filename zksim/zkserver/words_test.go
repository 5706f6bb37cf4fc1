package zkserver

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// These patterns match what differs between two servers with the same history: the
// version, ports, numbers of sessions, times, and the number of requests to the server
// as a whole (a real one gets requests until it serves).
var wordMasks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?m)^(Zookeeper version: 3\.8\.0-).*, built on .*$`), "${1}X"},
	{regexp.MustCompile(`(?m)^(Latency min/avg/max: )\d+/\d+\.\d{1,4}/\d+$`), "${1}L"},
	{regexp.MustCompile(`(?m)^((?:Received|Sent): )\d+$`), "${1}N"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`sid=0x1[0-9a-f]{14}`), "sid=S"},
	{regexp.MustCompile(`est=\d{13}`), "est=T"},
	{regexp.MustCompile(`(lresp|llat|minlat|avglat|maxlat)=\d+`), "$1=N"},
}

func maskWord(text string) string {
	for _, m := range wordMasks {
		text = m.pattern.ReplaceAllString(text, m.with)
	}
	lines := strings.Split(text, "\n")
	for i := range lines { // connections are listed in no order
		for j := i; j < len(lines) && strings.HasPrefix(lines[j], " /"); j++ {
			slices.Sort(lines[i : j+1])
		}
	}
	return strings.Join(lines, "\n")
}

// busyFor gives a new server a history: a session with an ephemeral node, a watch and
// four answers.
func busyFor(t *testing.T, addr string) *wireClient {
	c := newSession(t, addr, longest)
	want(t, "create", c.create("/e", "", zktree.Ephemeral).Err, zktree.OK)
	c.exists("/e", true)
	c.set("/nowhere", "x", -1)
	return c
}

func TestWordsReadLikeARealServers(t *testing.T) {
	theirs, ours := startRealZK(t).addr, NewTestWith(t, Options{Tick: realTick}).Address()
	busyFor(t, theirs)
	busyFor(t, ours)
	for _, word := range []string{"ruok", "isro", "srvr", "stat", "cons"} {
		wanted, got := maskWord(string(askWord(t, theirs, word))), maskWord(string(askWord(t, ours, word)))
		if wanted != got {
			t.Errorf("%s\nZooKeeper: %s\nours: %s", word, wanted, got)
		}
	}
	compareRows(t, "mntr", "\t", string(askWord(t, theirs, "mntr")), string(askWord(t, ours, "mntr")),
		"zk_version", "zk_avg_latency", "zk_min_latency", "zk_max_latency", "zk_uptime", "zk_packets_sent", "zk_packets_received")
	compareRows(t, "conf", "=", string(askWord(t, theirs, "conf")), string(askWord(t, ours, "conf")),
		"clientPort", "dataDir", "maxConnections")
	dump := string(askWord(t, ours, "dump"))
	for _, line := range []string{"SessionTracker dump:", "Sessions with Ephemerals (1):", "\t/e"} {
		if !strings.Contains(dump, line+"\n") || !strings.Contains(string(askWord(t, theirs, "dump")), line+"\n") {
			t.Errorf("dump does not contain %q: %s", line, dump)
		}
	}
	if text := string(askWord(t, ours, "envi")); !strings.HasPrefix(text, "Environment:\nzookeeper.version=") {
		t.Errorf("envi: %s", text)
	}
}

// compareRows checks that ZooKeeper has each of our rows, with the same value except
// for the rows that differ.
func compareRows(t *testing.T, word, between, theirs, ours string, differ ...string) {
	t.Helper()
	rows := make(map[string]string)
	for line := range strings.Lines(theirs) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), between)
		rows[name] = value
	}
	compared := 0
	for line := range strings.Lines(ours) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), between)
		if !ok || value == "" && name != "dataDir" {
			t.Errorf("%s: %q", word, line)
		}
		if slices.Contains(differ, name) {
			continue
		}
		if rows[name] != value {
			t.Errorf("%s: %s is %q with ZooKeeper, %q with ours", word, name, rows[name], value)
		}
		compared++
	}
	if compared < 4 {
		t.Errorf("%s: only %d rows were compared", word, compared)
	}
}

// TestLatencyAndOutstandingAreMeasured asks while answers are held back.
func TestLatencyAndOutstandingAreMeasured(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	s.Lag(time.Minute)
	for range 3 {
		c.send(int32(zktree.OpCreate), func(e *encoder) { op := opCreate("/a"); encodeOp(e, &op) })
	}
	var text string
	waitFor(t, "three outstanding requests", func() bool {
		text = string(askWord(t, s.Address(), "srvr"))
		return strings.Contains(text, "Outstanding: 3\n")
	})
	if !strings.Contains(text, "Latency min/avg/max: 0/0.0/0\n") {
		t.Errorf("latency is shown before any request was answered: %s", text)
	}
	time.Sleep(30 * time.Millisecond)
	s.Lag(0)
	waitFor(t, "no outstanding request", func() bool {
		text = string(askWord(t, s.Address(), "srvr"))
		return strings.Contains(text, "Outstanding: 0\n")
	})
	l := s.latency.get()
	if l.count != 3 || l.least < 30*time.Millisecond || l.most < l.least || l.average() < 30 || strings.Contains(text, "0/0.0/0") {
		t.Errorf("latency %+v: %s", l, text)
	}
}
