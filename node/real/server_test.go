package real

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/real/realtest"
	"dkv/zksim/zkserver"
)

// member is one Server of a cluster in this process.
type member struct {
	*Server
	options Options
	stop    context.CancelFunc
	ended   chan error
	log     *realtest.Log
}

func runMember(t *testing.T, o Options) *member {
	t.Helper()
	m := &member{options: o, ended: make(chan error, 1), log: &realtest.Log{}}
	o.Log = slog.New(slog.NewTextHandler(m.log, nil))
	var err error
	if m.Server, err = Open(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() { m.ended <- m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-m.finished() })
	return m
}

// finished returns a channel with the result of Run. It can be called repeatedly.
func (m *member) finished() <-chan error {
	again := make(chan error, 1)
	err := <-m.ended
	m.ended <- err
	again <- err
	return again
}

func (m *member) end(t *testing.T) {
	t.Helper()
	m.stop()
	select {
	case err := <-m.finished():
		if err != nil {
			t.Errorf("node %s: %v", m.options.Config.ID, err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("node %s did not stop", m.options.Config.ID)
	}
}

func memberOptions(t *testing.T, i, n int, zooKeeper string) Options {
	return Options{
		Config: Config{
			ID: NodeID(fmt.Sprintf("n%d", i+1)), Expect: n, Partitions: 8, Replication: min(3, n),
			SuspectAfter: 2 * time.Second, // a busy machine causes no failover
		},
		Data:   filepath.Join(t.TempDir(), "data"),
		Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0",
		ZooKeeper: []string{zooKeeper}, SessionTimeout: 10 * time.Second,
	}
}

func runCluster(t *testing.T, n int) []*member {
	t.Helper()
	server := zkserver.NewTestWith(t, zkserver.Options{Tick: zkserver.TestTick, MaxSessionTimeout: time.Minute})
	members := make([]*member, n)
	for i := range members {
		members[i] = runMember(t, memberOptions(t, i, n, server.Address()))
	}
	awaitReady(t, members...)
	return members
}

func awaitReady(t *testing.T, members ...*member) {
	t.Helper()
	for _, m := range members {
		realtest.Eventually(t, fmt.Sprintf("node %s is ready", m.options.Config.ID), func() bool {
			s := m.status(false)
			return s != nil && s.Ready
		})
	}
}

func (m *member) ask(t *testing.T, method, path, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+m.HTTPAddress()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(read)
}

func TestClusterServesAndSurvives(t *testing.T) {
	members := runCluster(t, 3)
	for i := range 30 {
		key := fmt.Sprintf("/v1/kv/key-%d", i)
		if status, text := members[i%3].ask(t, "PUT", key, fmt.Sprint("value-", i)); status != 204 {
			t.Fatalf("put: %d %s", status, text)
		}
		if status, text := members[(i+1)%3].ask(t, "GET", key, ""); status != 200 || text != fmt.Sprint("value-", i) {
			t.Errorf("get: %d %s", status, text)
		}
	}
	members[0].end(t)
	if _, err := http.Get("http://" + members[0].HTTPAddress() + "/healthz"); err == nil {
		t.Error("a stopped node answered")
	}
	for i := range 30 { // the others take over
		key := fmt.Sprintf("/v1/kv/key-%d", i)
		realtest.Eventually(t, "the other nodes serve "+key, func() bool {
			status, text := members[1+i%2].ask(t, "GET", key, "")
			return status == 200 && text == fmt.Sprint("value-", i)
		})
	}
	status, text := members[1].ask(t, "GET", "/v1/cluster", "")
	if status != 200 || strings.Count(text, `"state":"active"`) != 3 {
		t.Errorf("cluster: %d %s", status, text)
	}
	back := runMember(t, members[0].options)
	awaitReady(t, back)
	for i := range 30 {
		status, text := back.ask(t, "GET", fmt.Sprintf("/v1/kv/key-%d", i), "")
		if status != 200 || text != fmt.Sprint("value-", i) {
			t.Errorf("get from the restarted node: %d %s", status, text)
		}
	}
	_, text = members[1].ask(t, "GET", "/metrics", "")
	for _, name := range []string{"dkv_wal_syncs_total", "dkv_store_commits_total", "dkv_peer_frames_sent_total",
		"dkv_zookeeper_connected 1", `protocol="2",store_format="2",version=`, `dkv_events_total{kind="applied"}`, `dkv_requests_total{operation="get",outcome="done"}`, "process_cpu_seconds_total"} {
		if !strings.Contains(text, name) {
			t.Errorf("the metrics lack %s", name)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "dkv_") && !strings.HasPrefix(line, "go_") && !strings.HasPrefix(line, "process_") {
			t.Errorf("a metric of another name: %s", line)
		}
	}
}

func TestStoppedNodeLeavesZooKeeperAtOnce(t *testing.T) {
	server := zkserver.NewTestWith(t, zkserver.Options{Tick: zkserver.TestTick, MaxSessionTimeout: time.Minute})
	m := runMember(t, memberOptions(t, 0, 1, server.Address()))
	awaitReady(t, m)
	if n := len(server.Sessions()); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	realtest.Eventually(t, "the forming of the cluster is logged", func() bool {
		return strings.Contains(m.log.String(), `msg="formed the cluster" nodes=1`)
	})
	m.end(t)
	if n := len(server.Sessions()); n != 0 {
		t.Errorf("%d sessions after the stop", n)
	}
}

func TestNodeWithoutZooKeeperSaysSo(t *testing.T) {
	o := memberOptions(t, 0, 1, "127.0.0.1:1")
	o.Config.RequestTimeout = time.Second
	m := runMember(t, o)
	realtest.Eventually(t, "readyz says why", func() bool {
		status, text := m.ask(t, "GET", "/readyz", "")
		return status == 503 && strings.Contains(text, "ZooKeeper")
	})
	realtest.Eventually(t, "a warning is logged", func() bool { return strings.Contains(m.log.String(), "cannot reach ZooKeeper") })
	if status, text := m.ask(t, "PUT", "/v1/kv/a", "v"); status != 503 || !strings.Contains(text, "refused") {
		t.Errorf("put: %d %s", status, text)
	}
	if status, _ := m.ask(t, "GET", "/healthz", ""); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	m.end(t)
}

func TestDataDirectoryInUse(t *testing.T) {
	m := runMember(t, memberOptions(t, 0, 1, "127.0.0.1:1"))
	second, err := Open(m.options)
	if err == nil || second != nil || !strings.Contains(err.Error(), m.options.Data) {
		t.Errorf("opened the same directory twice: %v", err)
	}
	m.end(t)
	again := runMember(t, m.options)
	again.end(t)
}

func TestPortInUse(t *testing.T) {
	m := runMember(t, memberOptions(t, 0, 1, "127.0.0.1:1"))
	for _, change := range []func(*Options){
		func(o *Options) { o.Listen = m.HTTPAddress() },
		func(o *Options) { o.PeerListen = m.PeerAddress() },
		func(o *Options) { o.DebugListen = m.PeerAddress() },
	} {
		o := memberOptions(t, 1, 1, "127.0.0.1:1")
		change(&o)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "listening for") {
			t.Errorf("a port in use: %v", err)
		}
	}
}

func TestFailureEndsTheServer(t *testing.T) {
	server := zkserver.NewTestWith(t, zkserver.Options{Tick: zkserver.TestTick, MaxSessionTimeout: time.Minute})
	m := runMember(t, memberOptions(t, 0, 1, server.Address()))
	awaitReady(t, m)
	failure := errors.New("the disk is gone")
	m.fail(failure)
	m.fail(errors.New("later"))
	select {
	case err := <-m.finished():
		if !errors.Is(err, failure) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the server is still running")
	}
}

func TestOpenAddressesAreLogged(t *testing.T) {
	o := memberOptions(t, 0, 1, "127.0.0.1:1")
	o.Listen, o.Config.HTTPAddress = "0.0.0.0:0", "example.org:80"
	o.DebugListen = "127.0.0.1:0"
	m := runMember(t, o)
	realtest.Eventually(t, "a warning is logged", func() bool { return strings.Contains(m.log.String(), "open to everyone") })
	answer, err := http.Get("http://" + m.debugAt.Addr().String() + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), "goroutine profile") {
		t.Errorf("pprof: %s", text)
	}
	m.end(t)
	if strings.Count(m.log.String(), "open to everyone") != 1 {
		t.Errorf("a loopback address was logged as open:\n%s", m.log)
	}
}

func TestInvalidOptions(t *testing.T) {
	good := memberOptions(t, 0, 1, "127.0.0.1:1")
	tests := []struct {
		says   string
		change func(*Options)
	}{
		{"Data", func(o *Options) { o.Data = "" }},
		{"SessionTimeout", func(o *Options) { o.SessionTimeout = time.Millisecond }},
		{"SessionTimeout", func(o *Options) { o.SessionTimeout = time.Hour }},
		{"ZooKeeper", func(o *Options) { o.ZooKeeper = []string{"zk1"} }},
		{"ZooKeeper", func(o *Options) { o.ZooKeeper = []string{"zk1:2181", ":2181"} }},
		{"set the address", func(o *Options) { o.Listen = "0.0.0.0:0" }},
		{"set the address", func(o *Options) { o.PeerListen = ":0" }},
		{"PeerAddress", func(o *Options) { o.Config.PeerAddress = "host" }},
		{"HTTPAddress", func(o *Options) { o.Config.HTTPAddress = "host:0" }},
		{"ID", func(o *Options) { o.Config.ID = "" }},
		{"Replication", func(o *Options) { o.Config.Replication = 9 }},
		{"listening for clients", func(o *Options) { o.Listen = "nowhere.invalid:1" }},
	}
	for _, test := range tests {
		o := good
		o.Data = filepath.Join(t.TempDir(), "data")
		test.change(&o)
		if s, err := Open(o); err == nil || s != nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("want an error that says %q: %v", test.says, err)
		}
		if _, err := os.Stat(o.Data); o.Data != "" && err == nil {
			t.Errorf("invalid options (%s) left a data directory behind", test.says)
		}
	}
}

// A request that arrives while the node is stopping still gets an answer.
func TestRequestsWhileStopping(t *testing.T) {
	members := runCluster(t, 3)
	const clients = 8
	answered := make(chan error, clients)
	stopping := make(chan struct{})
	for c := range clients {
		go func() {
			answered <- func() error {
				for i := 0; ; i++ {
					r, _ := http.NewRequest("PUT", fmt.Sprintf("http://%s/v1/kv/%d-%d", members[0].HTTPAddress(), c, i), strings.NewReader("v"))
					answer, err := http.DefaultClient.Do(r)
					if err != nil {
						select {
						case <-stopping:
							return nil // the port is closed
						default:
							return err
						}
					}
					_ = answer.Body.Close()
					if s := answer.StatusCode; s != 204 && s != 503 && s != 504 {
						return fmt.Errorf("status %d", s)
					}
				}
			}()
		}()
	}
	time.Sleep(100 * time.Millisecond)
	close(stopping)
	members[0].end(t)
	for range clients {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

func TestEventsAreCounted(t *testing.T) {
	o := newObserver(slog.New(slog.DiscardHandler))
	o.Observe(node.Event{Kind: node.EventApplied})
	o.Observe(node.Event{Kind: node.EventKind(node.EventKinds)}) // from a later version
	if o.counts[node.EventApplied].Load() != 1 {
		t.Error("the event was not counted")
	}
	o.close()
	o.Observe(node.Event{Kind: node.EventAlarm}) // ignored after close
}

// The take-over of many partitions is logged as one line, at the default level.
func TestEventsOfPartitionsAreSummed(t *testing.T) {
	var log realtest.Log
	o := newObserver(slog.New(slog.NewTextHandler(&log, nil)))
	for p := range 50 {
		o.Observe(node.Event{Kind: node.EventTakeOver, Partition: node.PartitionID(p), Epoch: 2, Peer: 1})
	}
	o.Observe(node.Event{Kind: node.EventQuiet, Partition: 7, Epoch: 2})
	o.close()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "took over partitions") || !strings.Contains(lines[0], "partitions=50") ||
		!strings.Contains(lines[1], "level=WARN") || !strings.Contains(lines[1], "partitions=1") {
		t.Errorf("logged:\n%s", log.String())
	}
}

// The store must not be closed while the loop may still be using it.
func TestStuckLoopKeepsItsStore(t *testing.T) {
	server := zkserver.NewTestWith(t, zkserver.Options{Tick: zkserver.TestTick, MaxSessionTimeout: time.Minute})
	m := runMember(t, memberOptions(t, 0, 1, server.Address()))
	awaitReady(t, m)
	held := make(chan struct{})
	stuck := make(chan struct{})
	m.loop.Post(func() { close(stuck); <-held })
	<-stuck
	m.patience, m.parting = 50*time.Millisecond, 50*time.Millisecond
	m.end(t)
	if _, _, err := m.store.Get([]byte("m/")); err != nil {
		t.Errorf("reading the store: %v", err)
	}
	close(held)
}

// A blocked log does not block the loop, and the number of waiting lines is
// limited.
func TestObserverDoesNotWait(t *testing.T) {
	blocked := make(chan struct{})
	o := newObserver(slog.New(slog.NewTextHandler(blockedWriter(blocked), nil)))
	for range maxLogged + 100 {
		o.Observe(node.Event{Kind: node.EventAlarm, Text: "full"})
	}
	if dropped := o.dropped.Load(); dropped < 98 || dropped > 100 { // one or two are being written
		t.Errorf("%d lines were dropped", dropped)
	}
	close(blocked)
	o.close()
}

type blockedWriter chan struct{}

func (w blockedWriter) Write(p []byte) (int, error) {
	<-w
	return len(p), nil
}
