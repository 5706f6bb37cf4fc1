package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the commands print into the documents")

// blockTimeout limits the commands of one block, on a machine that is busy with
// other tests.
const blockTimeout = 5 * time.Minute

// shownRoot stands in the documents for the directory of the clone.
const shownRoot = "/home/you/dkv"

// TestCommands runs the commands of all documents.
func TestCommands(t *testing.T) {
	names, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.checkDocument(name)
		})
	}
}

// checkDocument runs the blocks of a document, and updates it if that is asked for.
func (w *workshop) checkDocument(name string) {
	text, err := read(name)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, shift := strings.Split(text, "\n"), 0
	for _, b := range blocksOf(name, text) {
		began := time.Now()
		printed := w.check(b)
		if took := time.Since(began); took > time.Second {
			w.t.Logf("%v: %v", b, took.Round(100*time.Millisecond))
		}
		if printed != nil {
			first := b.first + shift
			lines = slices.Replace(lines, first, first+len(b.lines), printed...)
			shift += len(printed) - len(b.lines)
		}
	}
	now := strings.Join(lines, "\n")
	if !*update || now == text {
		return
	}
	if err := os.WriteFile(filepath.Join(root, name), []byte(now), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// A workshop is a copy of the source tree in which commands run. It is always at
// the same place, because the go command compiles anew what was moved.
type workshop struct {
	t     *testing.T // of the document that is being checked
	whole *testing.T // of all documents
	dir   string
	port  int // of the cluster's first node; 0: there is no cluster yet
}

func newWorkshop(t *testing.T) *workshop {
	dir, err := filepath.Abs(filepath.Join(root, "bin", "docs"))
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &workshop{t: t, whole: t, dir: dir}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || slices.Contains(notSource, entry.Name())) {
			return filepath.SkipDir
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(w.dir, name), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(w.dir, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	// On a terminal curl prints no progress.
	if err := os.WriteFile(filepath.Join(w.dir, ".curlrc"), []byte("silent\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// notSource are the directories that a clone does not have.
var notSource = []string{"bin", "node_modules", "dkv-data"}

// check runs a block as its mark says. It returns the block's new lines if they
// are to be updated.
func (w *workshop) check(b *block) []string {
	m, err := markOf(b)
	if err != nil {
		w.t.Error(err)
		return nil
	}
	if !m.run || m.cluster && !w.needCluster() {
		return nil
	}
	if !m.output {
		if _, err := w.run([]*command{{text: "set -e\n" + strings.Join(b.lines, "\n")}}); err != nil {
			w.t.Errorf("%v: %v", b, err)
		}
		return nil
	}
	commands, err := commandsOf(b)
	if err != nil {
		w.t.Error(err)
		return nil
	}
	printed, err := w.run(commands)
	if err != nil {
		w.t.Errorf("%v: %v", b, err)
		return nil
	}
	var now []string
	differs := false
	for i, c := range commands {
		now = append(append(now, "$ "+c.text), printed[i]...)
		what := differ(c.prints, printed[i])
		if what == "" {
			continue
		}
		differs = true
		if !*update || slices.Contains(c.prints, "…") {
			w.t.Errorf("%v: $ %s\n%s\n(go test ./internal/docs -update writes what it prints)", b, c.text, what)
		}
	}
	if !differs {
		return nil
	}
	return strings.Split(strings.Join(now, "\n"), "\n")
}

// separator stands between what one command prints and the next.
const separator = "@@ next command @@"

// run runs commands in one shell and returns the lines that each printed. The
// exit status of a block without output is that of its last command.
func (w *workshop) run(commands []*command) ([][]string, error) {
	var script strings.Builder
	for _, c := range commands {
		// The next command may ask for the status of the one before.
		fmt.Fprintf(&script, "status=$?; echo '%s'; (exit $status)\n%s\n", separator, w.toPorts(c.text))
	}
	ctx, cancel := context.WithTimeout(context.Background(), blockTimeout)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script.String())
	shell.Dir = w.dir
	shell.Env = append(os.Environ(), "PWD="+w.dir, "CURL_HOME="+w.dir, "DKV_SERVER="+w.toPorts("127.0.0.1:8000"), "GOFLAGS=-buildvcs=false -vet=off -ldflags=-w", "CGO_ENABLED=0")
	shell.WaitDelay = 5 * time.Second
	out, err := shell.CombinedOutput()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the commands took longer than %v:\n%s", blockTimeout, out)
	}
	if err != nil && len(commands) == 1 && strings.HasPrefix(commands[0].text, "set -e\n") {
		return nil, fmt.Errorf("%v:\n%s", err, out)
	}
	text := strings.ReplaceAll(w.fromPorts(string(out)), w.dir, shownRoot)
	parts := strings.Split(text, separator+"\n")[1:]
	if len(parts) != len(commands) {
		return nil, fmt.Errorf("%d of %d commands ran:\n%s", len(parts), len(commands), text)
	}
	printed := make([][]string, len(parts))
	for i, part := range parts {
		if part = strings.TrimRight(strings.ReplaceAll(part, "\r", ""), "\n"); part != "" {
			printed[i] = strings.Split(part, "\n")
		}
	}
	return printed, nil
}

var (
	shownPort = regexp.MustCompile(`127\.0\.0\.1:80([0-4][0-2])\b`)
	usedPort  = regexp.MustCompile(`127\.0\.0\.1:(\d+)\b(  )?`)
)

// toPorts replaces the ports in a document by those of the test's cluster,
// fromPorts the other way round.
func (w *workshop) toPorts(text string) string {
	return shownPort.ReplaceAllStringFunc(text, func(address string) string {
		offset, _ := strconv.Atoi(shownPort.FindStringSubmatch(address)[1])
		return fmt.Sprintf("127.0.0.1:%d", w.port+offset)
	})
}

func (w *workshop) fromPorts(text string) string {
	return usedPort.ReplaceAllStringFunc(text, func(address string) string {
		m := usedPort.FindStringSubmatch(address)
		port, _ := strconv.Atoi(m[1])
		if offset := port - w.port; offset >= 0 && offset < 50 {
			column := m[2]
			if column != "" {
				column += " " // for the digit that the shown port lacks
			}
			return fmt.Sprintf("127.0.0.1:%d%s", 8000+offset, column)
		}
		return address
	})
}

// needCluster starts the cluster unless it runs. It returns false if the
// machine has no curl.
func (w *workshop) needCluster() bool {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			w.t.Fatal("the documents' calls need curl: ", err)
		}
		w.t.Log("SKIPPED the documents' calls: there is no curl")
		return false
	}
	if w.port != 0 {
		return true
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(w.dir, "bin")+"/", "./cmd/dkv")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("building dkv: %v\n%s", err, out)
	}
	for range 3 {
		w.port = 20000 + 50*rand.IntN(200)
		if w.startCluster() {
			return true
		}
	}
	w.t.Fatal("the cluster did not start")
	return false
}

// startCluster starts a cluster at the port, and returns whether it became ready.
func (w *workshop) startCluster() bool {
	var out bytes.Buffer
	reader, writer, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	// On a busy machine nodes stall. No failover may change what the documents show.
	local := exec.Command(filepath.Join(w.dir, "bin", "dkv"), "local", "--suspect-after", "10s", "--session-timeout", "20s",
		"--base-port", strconv.Itoa(w.port), "--data", w.whole.TempDir())
	local.Stdout, local.Stderr = writer, writer
	if err := local.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = writer.Close()
	w.whole.Cleanup(func() {
		_ = local.Process.Signal(os.Interrupt)
		_ = local.Wait()
		_ = reader.Close()
	})
	_ = reader.SetReadDeadline(time.Now().Add(3 * time.Minute))
	for buffer := make([]byte, 4096); !strings.Contains(out.String(), "cluster is ready"); {
		n, err := reader.Read(buffer)
		out.Write(buffer[:n])
		if err != nil {
			w.t.Logf("the cluster at port %d did not start: %v\n%s", w.port, err, out.String())
			return false
		}
	}
	return true
}
