package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryBlockIsMarked proves that a block without a mark is found.
func TestEveryBlockIsMarked(t *testing.T) {
	for _, c := range []struct {
		info string
		ok   bool
	}{
		{"", false}, {"sh", false}, {"console", false}, {"sh not run:", false}, {"sh not run", false}, {"console runs", false},
		{"text", true}, {"go", true}, {"sh run", true}, {"console run cluster", true}, {"sh not run: it never ends", true},
	} {
		blocks := blocksOf("x.md", "text\n```"+c.info+"\n$ true\n```\n")
		if len(blocks) != 1 {
			t.Fatalf("%q: %d blocks", c.info, len(blocks))
		}
		if _, err := markOf(blocks[0]); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.info, err)
		}
	}
}

// TestOutputIsCompared proves that another output is found, and that what may
// differ is not.
func TestOutputIsCompared(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a", false},
		{"a", "a\nb", false},
		{"a\n…\nd", "a\nb\nc\nd", true},
		{"a\n…", "a", true},
		{"a\n…\nd", "a\nb\nc", false},
		{"events=5 wall=1s trace=0123456789abcdef", "events=5 wall=20ms trace=fedcba9876543210", true},
		{"events=5 wall=1s", "events=6 wall=1s", false},
		{"wall time 621ms, 2 jobs", "wall time 1.5s, 8 jobs", true},
		{"ok  \tdkv/x\t0.5s", "ok  \tdkv/x\t(cached)", true},
		{"ok  \tdkv/x\t0.5s", "FAIL\tdkv/x\t0.5s", false},
	} {
		if what := differ(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); (what == "") != c.same {
			t.Errorf("%q, %q: %q", c.want, c.got, what)
		}
	}
}

func TestCommandsOfABlock(t *testing.T) {
	b := &block{document: "x.md", lines: strings.Split("$ cat <<'END'\none\nEND\none\n$ echo \\\n  two\ntwo", "\n")}
	commands, err := commandsOf(b)
	if err != nil || len(commands) != 2 {
		t.Fatal(commands, err)
	}
	if c := commands[0]; c.text != "cat <<'END'\none\nEND" || strings.Join(c.prints, "\n") != "one" {
		t.Errorf("%+v", c)
	}
	if c := commands[1]; c.text != "echo \\\n  two" || strings.Join(c.prints, "\n") != "two" {
		t.Errorf("%+v", c)
	}
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInTitle = regexp.MustCompile("[^a-z0-9 _-]")
	makeTarget = regexp.MustCompile("(?m)(?:`|^\\$ |^)make ([a-z][a-z-]*)")
)

// TestLinks: links within the project lead to a file and, after #, to a heading.
func TestLinks(t *testing.T) {
	names, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md",
		"linearizability/README.md", "netsim/README.md", "zksim/README.md") {
		text, err := read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(filepath.Dir(name), target)
			if target == "" {
				path = name
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
				continue
			}
			if anchor != "" && !hasHeading(t, path, anchor) {
				t.Errorf("%s: the link to %s: there is no such heading", name, m[1])
			}
		}
	}
}

func hasHeading(t *testing.T, document, anchor string) bool {
	text, err := read(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(notInTitle.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// TestMakeTargets: each target that a document names exists.
func TestMakeTargets(t *testing.T) {
	makefile, err := read("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	names, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+": ") {
				t.Errorf("%s names make %s, which does not exist", name, m[1])
			}
		}
	}
}

// TestReadmeIsShort: a newcomer reads README.md in one sitting.
func TestReadmeIsShort(t *testing.T) {
	text, err := read("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(text, "\n"); lines > 120 {
		t.Errorf("README.md has %d lines, more than 120: move text to docs", lines)
	}
}
