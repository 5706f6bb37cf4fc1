package zkserver

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// patience limits every wait for what has to happen. Only a failing test waits that
// long, so it allows for a machine that is busy with other work.
const patience = 30 * time.Second

// lasting is the timeout of sessions that no test lets expire, however busy the
// machine is.
const lasting = time.Minute

// lastingServer starts a server that allows such sessions.
func lastingServer(t *testing.T) *TestServer {
	t.Helper()
	return NewTestWith(t, Options{Tick: TestTick, MaxSessionTimeout: lasting})
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// dialZK connects go-zookeeper and waits for a session.
func dialZK(t *testing.T, timeout time.Duration, addrs ...string) (*zk.Conn, <-chan zk.Event) {
	t.Helper()
	c, events, err := zk.Connect(append(addrs, addrs...), timeout, zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	deadline := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c, events
			}
		case <-deadline:
			t.Fatalf("got no session from %v in %v", addrs, patience)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoZookeeper(t *testing.T) {
	s := lastingServer(t)
	c, _ := dialZK(t, lasting, s.Address())
	acl := zk.WorldACL(zk.PermAll)
	path, err := c.Create("/a", []byte("one"), 0, acl)
	must(t, err)
	if path != "/a" {
		t.Fatalf("created %q", path)
	}
	if _, err := c.Create("/a", nil, 0, acl); err != zk.ErrNodeExists {
		t.Fatal(err)
	}
	data, stat, ch, err := c.GetW("/a")
	must(t, err)
	if string(data) != "one" || stat.Version != 0 || stat.DataLength != 3 {
		t.Fatal(string(data), stat)
	}
	stat, err = c.Set("/a", []byte("two"), 0)
	must(t, err)
	if e := <-ch; e.Type != zk.EventNodeDataChanged || e.Path != "/a" {
		t.Fatalf("event of the set: %+v", e)
	}
	if _, err := c.Set("/a", nil, 0); err != zk.ErrBadVersion {
		t.Fatal(err)
	}
	_, _, there, err := c.ExistsW("/b")
	must(t, err)
	_, _, kids, err := c.ChildrenW("/a")
	must(t, err)
	path, err = c.Create("/a/s-", nil, zk.FlagSequence|zk.FlagEphemeral, acl)
	must(t, err)
	if path != "/a/s-0000000000" {
		t.Fatalf("created %q", path)
	}
	if e := <-kids; e.Type != zk.EventNodeChildrenChanged {
		t.Fatalf("event of the child: %+v", e)
	}
	res, err := c.Multi(&zk.CheckVersionRequest{Path: "/a", Version: stat.Version}, &zk.CreateRequest{Path: "/b", Acl: acl},
		&zk.SetDataRequest{Path: "/b", Data: []byte("x"), Version: -1}, &zk.DeleteRequest{Path: path, Version: -1})
	must(t, err)
	if len(res) != 4 || res[1].String != "/b" || res[2].Stat.Version != 1 {
		t.Fatalf("results of the multi: %+v", res)
	}
	if e := <-there; e.Type != zk.EventNodeCreated {
		t.Fatalf("event of the create: %+v", e)
	}
	res, err = c.Multi(&zk.CreateRequest{Path: "/c", Acl: acl}, &zk.CheckVersionRequest{Path: "/a", Version: 9}, &zk.DeleteRequest{Path: "/b", Version: -1})
	if err != zk.ErrBadVersion || len(res) != 3 || res[0].Error != nil || res[1].Error != zk.ErrBadVersion || res[2].Error == nil {
		t.Fatalf("the failing multi: %v, results %+v", err, res)
	}
	if _, err := c.Sync("/"); err != nil {
		t.Fatal(err)
	}
	acls, _, err := c.GetACL("/a")
	must(t, err)
	if len(acls) != 1 || acls[0] != acl[0] {
		t.Fatalf("the access list is %v", acls)
	}
	must(t, c.AddAuth("digest", []byte("u:p")))
	must(t, c.Delete("/b", 1))
	if err := c.Delete("/", -1); err == nil {
		t.Fatal("the root was deleted")
	}
}

func TestGoZookeeperKeepsItsSessionOverABrokenConnection(t *testing.T) {
	s := lastingServer(t)
	c, _ := dialZK(t, lasting, s.Address())
	acl := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/e", nil, zk.FlagEphemeral, acl)
	must(t, err)
	_, _, ch, err := c.GetW("/e")
	must(t, err)
	id := c.SessionID()
	s.DropConnections()
	waitFor(t, "the session again", func() bool {
		ok, _, err := c.Exists("/e")
		return err == nil && ok
	})
	if c.SessionID() != id {
		t.Fatal("it got another session")
	}
	_, err = c.Set("/e", []byte("x"), -1)
	must(t, err)
	select {
	case e := <-ch:
		if e.Type != zk.EventNodeDataChanged {
			t.Fatalf("event of the restored watch: %+v", e)
		}
	case <-time.After(patience):
		t.Fatal("the watch was not restored")
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited %v for %s, which did not happen", patience, what)
}

func TestGoZookeeperLearnsOfExpiry(t *testing.T) {
	s := lastingServer(t)
	c, events := dialZK(t, lasting, s.Address())
	_, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	must(t, err)
	if !s.ExpireSession(c.SessionID()) {
		t.Fatal("ExpireSession did not find the session")
	}
	waitFor(t, "Expired", func() bool {
		select {
		case e := <-events:
			return e.State == zk.StateExpired
		default:
			return false
		}
	})
	other, _ := dialZK(t, lasting, s.Address())
	if ok, _, err := other.Exists("/e"); err != nil || ok {
		t.Fatal(ok, err)
	}
}

func TestConnectionDroppedAroundAWrite(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := lastingServer(t)
		c, _ := dialZK(t, lasting, s.Address())
		s.DropNextWrite(after)
		if _, err := c.Create("/x", nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrConnectionClosed) {
			t.Fatalf("after=%v: %v", after, err)
		}
		waitFor(t, "go-zookeeper to connect again", func() bool {
			ok, _, err := c.Exists("/x")
			if err == nil && ok != after {
				t.Fatalf("after=%v, done=%v", after, ok)
			}
			return err == nil
		})
	}
}

func TestFourLetterWords(t *testing.T) {
	s := lastingServer(t)
	c, _ := dialZK(t, lasting, s.Address())
	if ok := zk.FLWRuok([]string{s.Address()}, patience); !ok[0] {
		t.Error("ruok was not answered with imok")
	}
	var stats []*zk.ServerStats
	waitFor(t, "the connection of the first word to end", func() bool {
		var ok bool
		stats, ok = zk.FLWSrvr([]string{s.Address()}, patience)
		return !ok || stats[0].Connections == 2
	})
	if stats[0].Error != nil || stats[0].Mode != zk.ModeStandalone || stats[0].NodeCount != 5 {
		t.Errorf("srvr: %+v", stats[0])
	}
	if _, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{"stat": "recved=2", "mntr": "zk_ephemerals_count\t1\n"} {
		if got := askWord(t, s.Address(), word); !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s: %q does not contain %q", word, got, want)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	if _, err := Open(Options{Tick: time.Microsecond}); err == nil {
		t.Error("a tick of a microsecond was accepted")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second, MaxConnections: 3})
	var kept []*wireClient
	for range 3 {
		kept = append(kept, newSession(t, s.Address(), time.Minute))
	}
	if _, err := hello(t, s.Address(), time.Minute, 0, [16]byte{}, 0); err == nil {
		t.Error("a fourth connection was served")
	}
	kept[0].close()
	waitFor(t, "a free place for another connection", func() bool {
		_, err := hello(t, s.Address(), time.Minute, 0, [16]byte{}, 0)
		return err == nil
	})
}

func TestHeldHandshakesAreNotAnswered(t *testing.T) {
	s := lastingServer(t)
	s.HoldHandshakes(true)
	answered := make(chan bool, 1)
	go func() {
		_, err := hello(t, s.Address(), lasting, 0, [16]byte{}, 0)
		answered <- err == nil
	}()
	select {
	case <-answered:
		t.Fatal("a held handshake was answered")
	case <-time.After(100 * time.Millisecond):
	}
	s.HoldHandshakes(false)
	newSession(t, s.Address(), lasting)
}

func TestDownAndUpKeepTheSession(t *testing.T) {
	s := lastingServer(t)
	c, _ := dialZK(t, lasting, s.Address())
	_, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	must(t, err)
	s.Down()
	if _, err := net.DialTimeout("tcp", s.Address(), time.Second); err == nil {
		t.Error("a server that is down accepted a connection")
	}
	s.Up()
	waitFor(t, "the session again", func() bool {
		ok, _, err := c.Exists("/e")
		return err == nil && ok
	})
}
