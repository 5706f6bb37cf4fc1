package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dkv/internal/version"
	"dkv/node/client"
)

// execute runs a command line and returns what it printed.
func execute(t *testing.T, stdin string, args ...string) (code int, out, errors string) {
	t.Helper()
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = execRoot(context.Background(), root, args)
	return code, stdout.String(), stderr.String()
}

// cluster starts a server that gives every request the same answer.
func cluster(t *testing.T, status int, header map[string]string, body string) (address string, asked *http.Request) {
	t.Helper()
	asked = new(http.Request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = *r.Clone(context.Background())
		read, _ := io.ReadAll(r.Body)
		asked.Body = io.NopCloser(bytes.NewReader(read))
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked
}

func TestOperations(t *testing.T) {
	index := map[string]string{"DKV-Index": "9"}
	version := map[string]string{"DKV-Index": "9", "ETag": `"7"`}
	tests := []struct {
		name   string
		args   []string
		status int
		header map[string]string
		body   string
		code   int
		out    string
		errors string
	}{
		{"put", []string{"put", "k", "v"}, 204, version, "", 0, "7\n", ""},
		{"put of another version", []string{"put", "k", "v", "--if-version", "3"}, 412, version, "{}", exitFailed, "", "version 7"},
		{"put of an absent key", []string{"put", "k", "v", "--if-present"}, 412, index, "{}", exitFailed, "", "no such key"},
		{"refused put", []string{"put", "k", "v"}, 503, nil, `{"outcome":"refused","detail":"no majority"}`, exitRefused, "", "no majority"},
		{"put of unknown outcome", []string{"put", "k", "v"}, 504, nil, `{"outcome":"unknown","detail":"no answer"}`, exitUnknown, "", "no answer"},
		{"get", []string{"get", "k"}, 200, version, "v\x00", 0, "v\x00", ""},
		{"get of an empty value", []string{"get", "k"}, 200, version, "", 0, "", ""},
		{"get of an absent key", []string{"get", "k"}, 404, index, "{}", exitNotFound, "", "no such key"},
		{"delete", []string{"delete", "k"}, 204, version, "", 0, "7\n", ""},
		{"delete of an absent key", []string{"delete", "k"}, 404, index, "{}", exitNotFound, "", "no such key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address, _ := cluster(t, test.status, test.header, test.body)
			code, out, errors := execute(t, "", append(test.args, "--server", address)...)
			if code != test.code || out != test.out || !strings.Contains(errors, test.errors) || (test.errors == "") != (errors == "") {
				t.Errorf("code %d, out %q, errors %q; want %d, %q, %q", code, out, errors, test.code, test.out, test.errors)
			}
		})
	}
}

func TestPutSendsWhatItWasGiven(t *testing.T) {
	address, asked := cluster(t, 204, map[string]string{"DKV-Index": "1", "ETag": `"1"`}, "")
	if code, _, errors := execute(t, "from\x00stdin", "put", "a/b c", "-", "--if-absent", "--server", address); code != 0 {
		t.Fatalf("code %d: %s", code, errors)
	}
	body, _ := io.ReadAll(asked.Body)
	if asked.URL.Path != "/v1/kv/a/b c" || string(body) != "from\x00stdin" || asked.Header.Get("If-None-Match") != "*" {
		t.Errorf("sent %s %q %v", asked.URL.Path, body, asked.Header)
	}
}

func TestInvalidUsage(t *testing.T) {
	taken, _ := cluster(t, 200, nil, "")
	tests := []struct {
		args []string
		says string
	}{
		{[]string{"put", "k"}, "accepts 2 arg(s)"},
		{[]string{"get", "k", "--nonsense"}, "unknown flag"},
		{[]string{"nonsense"}, "unknown command"},
		{[]string{"put", "k", "v", "--if-absent", "--if-present"}, "if any flags in the group"},
		{[]string{"get", "k", "--server", "ftp://x"}, "ftp://x"},
		{[]string{"node"}, "--id"},
		{[]string{"node", "--id", "n1"}, "--data"},
		{[]string{"node", "--id", "n1", "--data", t.TempDir(), "--log-level", "loud"}, "loud"},
		{[]string{"node", "--id", "n/1", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"}, "n/1"},
		{[]string{"node", "--id", "n1", "--data", t.TempDir(), "--zookeeper", "zk"}, "zk"},
		{[]string{"node", "--id", "n1", "--data", t.TempDir(), "--listen", ":0"}, "set --advertise"},
		{[]string{"node", "--id", "n1", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--peer-listen", "[::]:0"}, "set --peer-advertise"},
		{[]string{"node", "--id", "n1", "--data", t.TempDir(), "--peer-listen", "127.0.0.1:0", "--listen", taken}, "--listen, --peer-listen"},
		{[]string{"local", "--nodes", "0"}, "--nodes"},
		{[]string{"local", "--base-port", "65530"}, "--base-port"},
		{[]string{"bench", "--mix", "get=50,scan=50"}, "--mix"},
		{[]string{"bench", "--mix", "get=0"}, "--mix"},
		{[]string{"bench", "--clients", "0"}, "--clients"},
		{[]string{"bench", "--keys", "0"}, "--keys"},
		{[]string{"bench", "--value-size", "-1"}, "--value-size"},
		{[]string{"bench", "--distribution", "normal"}, "--distribution"},
		{[]string{"bench", "--duration", "0s"}, "--duration"},
		{[]string{"bench", "--history", "h", "--value-size", "8"}, "unique"},
	}
	for _, test := range tests {
		code, out, errors := execute(t, "", test.args...)
		if code != exitError || !strings.Contains(errors, test.says) || out != "" {
			t.Errorf("%v: code %d, out %q, errors %q; want %q", test.args, code, out, errors, test.says)
		}
	}
	if code, _, errors := execute(t, "", "get", "k", "--server", "127.0.0.1:1"); code != exitRefused || !strings.Contains(errors, "127.0.0.1:1") {
		t.Errorf("no server: code %d, errors %q", code, errors)
	}
}

func TestOversizedValueIsNotSent(t *testing.T) {
	address, asked := cluster(t, 204, map[string]string{"DKV-Index": "1"}, "")
	code, _, errors := execute(t, strings.Repeat("v", client.MaxValueBytes+1), "put", "k", "-", "--server", address)
	if code != exitError || !strings.Contains(errors, "larger than 1048576 bytes") || asked.Method != "" {
		t.Errorf("code %d, errors %q, asked %q", code, errors, asked.Method)
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	address, _ := cluster(t, 200, map[string]string{"DKV-Index": "1", "ETag": `"1"`}, "found")
	t.Setenv("DKV_SERVER", address)
	if code, out, errors := execute(t, "", "get", "k"); code != 0 || out != "found" {
		t.Errorf("code %d, out %q, errors %q", code, out, errors)
	}
	if code, _, errors := execute(t, "", "get", "k", "--server", "127.0.0.1:1"); code != exitRefused {
		t.Errorf("the command line does not take precedence: code %d, errors %q", code, errors)
	}
	t.Setenv("DKV_TIMEOUT", "soon")
	if code, _, errors := execute(t, "", "get", "k"); code != exitError || !strings.Contains(errors, "DKV_TIMEOUT") {
		t.Errorf("an invalid variable: code %d, errors %q", code, errors)
	}
}

func TestHelpNamesTheEnvironment(t *testing.T) {
	for command, flags := range map[string][]string{
		"node": {"DKV_ID", "DKV_DATA", "DKV_LISTEN", "DKV_PEER_LISTEN", "DKV_ADVERTISE", "DKV_PEER_ADVERTISE", "DKV_ZOOKEEPER",
			"DKV_EXPECT", "DKV_PARTITIONS", "DKV_REPLICATION", "DKV_SESSION_TIMEOUT", "DKV_SUSPECT_AFTER", "DKV_REQUEST_TIMEOUT", "DKV_DEBUG_LISTEN", "DKV_LOG_LEVEL"},
		"local":  {"DKV_NODES", "DKV_DATA", "DKV_ZOOKEEPER", "DKV_BASE_PORT"},
		"zk":     {"DKV_LISTEN", "DKV_DATA", "DKV_TICK", "DKV_LOG_LEVEL"},
		"bench":  {"DKV_CLIENTS", "DKV_MIX", "DKV_HISTORY"},
		"status": {"DKV_SERVER"},
	} {
		_, out, _ := execute(t, "", command, "--help")
		for _, name := range flags {
			if !strings.Contains(out, "["+name+"]") {
				t.Errorf("dkv %s --help does not name %s", command, name)
			}
		}
	}
}

// pages starts a node's HTTP server with a layout of two members.
func pages(t *testing.T, ready bool, role string) string {
	t.Helper()
	var address string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v1/cluster":
			fmt.Fprintf(w, `{"cluster":"u","version":4,"partitions":2,"replication":1,
				"node":{"id":"n1","store":"s1","member":1,"ready":%v,"why":"no majority","zookeeper":"connected"},
				"members":[{"number":1,"node":"n1","store":"s1","http":"%s","state":"active","primaries":1},
				           {"number":2,"node":"n2","store":"s2","http":"127.0.0.1:1","state":"active"}]}`, ready, address)
		case "/v1/members":
			fmt.Fprint(w, `{"waiting":[{"node":"n3","http":"127.0.0.1:2","why":"it waits for approval"}]}`)
		case "/v1/partitions":
			fmt.Fprintf(w, `{"partitions":[{"id":0,"epoch":1,"primary":1,"replicas":[1],"here":{"role":"primary","lag":3}},
				{"id":1,"epoch":1,"primary":1,"replicas":[1],"next":[2],"here":{"role":"%s"}}]}`, role)
		}
	}))
	t.Cleanup(s.Close)
	address = s.Listener.Addr().String()
	return address
}

func TestStatus(t *testing.T) {
	code, out, errors := execute(t, "", "status", "--server", pages(t, true, "primary"))
	if code != exitDegraded || errors != "" { // the second member does not answer
		t.Errorf("code %d, errors %q", code, errors)
	}
	for _, says := range []string{"layout version 4", "no answer", "yes", "2 of 2 led, 0 without a majority, 1 under-replicated, 1 moving", "3 entries",
		"degraded: n2 (member 2) does not answer", "what helps: start it again",
		"n3    not a member  127.0.0.1:2", "no: it waits for approval"} {
		if !strings.Contains(out, says) {
			t.Errorf("status does not print %q:\n%s", says, out)
		}
	}
	code, out, _ = execute(t, "", "status", "--server", pages(t, false, "starting"))
	if code != exitUnavailable || !strings.Contains(out, "no: no majority") || !strings.Contains(out, "1 partitions have no majority of their replicas: [1]") {
		t.Errorf("code %d:\n%s", code, out)
	}
	code, out, _ = execute(t, "", "status", "-o", "json", "--server", pages(t, false, "starting"))
	var h client.Health
	if err := json.Unmarshal([]byte(out), &h); err != nil || code != exitUnavailable || h.State != client.Unavailable || h.Partitions.Led != 1 || len(h.Members) != 2 {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	if strings.Contains(out, "null") {
		t.Errorf("null in the page: %s", out)
	}
	if code, _, errors := execute(t, "", "status", "-o", "yaml"); code != exitError || !strings.Contains(errors, "want table or json") {
		t.Errorf("code %d: %s", code, errors)
	}
}

func TestStatusBeforeTheClusterForms(t *testing.T) {
	address, _ := cluster(t, 200, map[string]string{"Content-Type": "application/json"}, `{"version":-1,"node":{"id":"n1","why":"waiting for n2"}}`)
	if code, out, _ := execute(t, "", "status", "--server", address); code != exitUnavailable || !strings.Contains(out, "waiting for n2") {
		t.Errorf("code %d: %s", code, out)
	}
}

func TestVersion(t *testing.T) {
	want := version.Read().Text("dkv")
	for _, argument := range []string{"version", "--version"} {
		if code, out, errors := execute(t, "", argument); code != 0 || out != want || errors != "" {
			t.Errorf("dkv %s: code %d, out %q, errors %q; want %q", argument, code, out, errors, want)
		}
	}
}
