package zkserver

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// zkCli is the command line client of Debian's package zookeeper.
const zkCli = "/usr/share/zookeeper/bin/zkCli.sh"

// cliScript is one session at the command line, including failures.
const cliScript = `
version
ls /
create /t one
create /t again
create /no/child x
create bad x
create /t/e mine
create -e /t/eph mine
create /t/eph/child x
create -s /t/s- x
create -e -s /t/es- x
create -c /t/box
create /t/box/in x
create -t 100000 /t/passing x
create -t 100000 -s /t/passing- x
create -t 0 /t/never x
create /t/empty
create /t/guarded x world:anyone:rwa
create /t/listed x digest:someone:aGFzaA==:cdrwa
get /t
get -s /t
get /t/empty
get /no
get -w /t
get -w -s /t/e
set /t two
set -s /t three
set -v 2 /t four
set -v 2 /t five
set /no x
ls /t
ls -s /t
ls -R /t
ls -w /t
ls /no
create /t/seen x
stat /t
stat -w /t/eph
stat /no
set /t/eph other
delete /t/seen
delete -v 7 /t/e
delete /t
delete /no
addWatch /t
addWatch -m PERSISTENT /t/e
addWatch -m PERSISTENT_RECURSIVE /t/box
addWatch -m NONSENSE /t/box
set /t six
create /t/box/more x
create /t/box/more/deep x
set /t/e seven
delete /t/box/more/deep
removewatches /t/e
set /t/e eight
removewatches /t
set /t nine
removewatches /no
removewatches /t/box -l
getAcl /t
getAcl -s /t
getAcl /t/listed
getAcl /no
create /t/guarded/x y
whoami
addauth digest user:secret
whoami
create /t/own secret auth::cdrwa
getAcl /t/own
get /t/own
setAcl /t/own digest:user:aGFzaA==:r,world:anyone:r
getAcl /t/own
getAcl -s /t/own
set /t/own x
setAcl /t/own world:anyone:cdrwa
setAcl /t/e world:anyone:rw
setAcl -s /t/s-0000000002 world:anyone:rwa
setAcl -v 0 /t/s-0000000002 world:anyone:r
setAcl /t/e nonsense
setAcl /no world:anyone:r
create /r
create /r/a x
create /r/a/b x
setAcl -R /r world:anyone:cdrwa
getAcl /r/a/b
getEphemerals
getEphemerals /t/es
getEphemerals /r
getAllChildrenNumber /t
getAllChildrenNumber /
getAllChildrenNumber /no
sync /t
sync /no
config
reconfig -remove 3
deleteall /r
deleteall /no
ls -R /t
stat /t
get -s /t/eph
nonsense
close
ls /
quit
`

// TestZKCliSeesNoDifference runs the same script with zkCli.sh against a real server and
// this one, both new: it must print the same.
func TestZKCliSeesNoDifference(t *testing.T) {
	theirs := startRealZK(t).addr
	if _, err := os.Stat(zkCli); err != nil {
		t.Fatalf("zookeeper is installed, but not its command line client: %v", err)
	}
	ours := NewTestWith(t, Options{Tick: realTick}).Address()
	type session struct{ lines, events []string }
	run := func(addr string, done chan<- session) {
		lines, events := plainCLI(runCLI(t, addr))
		done <- session{lines, events}
	}
	first, second := make(chan session, 1), make(chan session, 1)
	go run(theirs, first)
	go run(ours, second)
	wanted, got := <-first, <-second
	if len(wanted.lines) < 200 || len(wanted.events) < 12 {
		t.Fatalf("zkCli.sh did not run the script: %d lines, %d events\n%s", len(wanted.lines), len(wanted.events), strings.Join(wanted.lines, "\n"))
	}
	compareLines(t, "output", got.lines, wanted.lines)
	compareLines(t, "events", got.events, wanted.events)
}

func compareLines(t *testing.T, what string, got, wanted []string) {
	t.Helper()
	for i := range max(len(got), len(wanted)) {
		if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
			t.Errorf("%s differ from line %d:\nZooKeeper:\n%s\nours:\n%s", what, i,
				strings.Join(around(wanted, i), "\n"), strings.Join(around(got, i), "\n"))
			return
		}
	}
}

// around returns a few lines before and after the one that differs.
func around(lines []string, at int) []string {
	return lines[min(len(lines), max(0, at-4)):min(len(lines), at+6)]
}

func runCLI(t *testing.T, addr string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, zkCli, "-server", addr, "-timeout", "30000")
	cmd.Env = append(os.Environ(), "CLIENT_JVMFLAGS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx64m")
	cmd.Stdin = strings.NewReader(cliScript)
	cmd.SysProcAttr = diesWithParent()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // its exit code is that of the script's last error
	return out.Bytes()
}

var (
	cliTime    = regexp.MustCompile(`^([cm]time) = .*`)
	cliOwner   = regexp.MustCompile(`^(ephemeralOwner) = 0x[0-9a-f]{6,}$`)
	cliAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	cliSession = regexp.MustCompile(`0x1[0-9a-f]{13,15}\b`)
)

// plainCLI removes what differs between any two servers: the times of nodes, the numbers
// of sessions, the address. Events are returned apart, since their own thread prints
// them between any two lines of the commands; the event of the close is removed, since
// the program may end before it prints it. What whoami lists is sorted.
func plainCLI(out []byte) (lines, events []string) {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		line = cliTime.ReplaceAllString(line, "$1 = TIME")
		line = cliOwner.ReplaceAllString(line, "$1 = SESSION")
		line = cliAddress.ReplaceAllString(line, "ADDRESS")
		line = cliSession.ReplaceAllString(line, "SESSION")
		switch {
		case line == "" || line == "WATCHER::" || strings.HasPrefix(line, "SLF4J:"):
		case strings.HasPrefix(line, "WatchedEvent state:Closed "):
		case strings.HasPrefix(line, "WatchedEvent "):
			events = append(events, line)
		default:
			lines = append(lines, line)
		}
	}
	for i := 0; i+1 < len(lines); i++ {
		if strings.HasPrefix(lines[i], "digest: ") && strings.HasPrefix(lines[i+1], "ip: ") {
			lines[i], lines[i+1] = lines[i+1], lines[i]
		}
	}
	return slices.Clip(lines), events
}
