package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// root is the module's root as seen from this package.
const root = "../.."

// documents returns the paths of the documents in the order in which their
// commands run.
func documents() ([]string, error) {
	found := []string{"README.md"}
	for _, pattern := range []string{"CONTRIBUTING.md", "docs/*.md", "deploy/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			found = append(found, name)
		}
	}
	return found, nil
}

// A block is a fenced code block of a document.
type block struct {
	document string
	line     int // of the opening fence, from 1
	info     string
	lines    []string
	first    int // index of its first line in the document's lines
}

func (b *block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

// blocksOf finds the fenced code blocks of a document.
func blocksOf(document, text string) (blocks []*block) {
	var open *block
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{document: document, line: i + 1, info: strings.TrimSpace(info), first: i + 1}
		case fence:
			blocks = append(blocks, open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return blocks
}

// A mark says what the test does with a block.
type mark struct {
	run, cluster, output bool
	reason               string
}

// markOf reads a block's info string.
func markOf(b *block) (m mark, err error) {
	language, rest, _ := strings.Cut(b.info, " ")
	if language == "" {
		return m, fmt.Errorf("%v: the block names no language; write text if it has no commands", b)
	}
	if language != "sh" && language != "console" && language != "bash" && language != "shell" {
		return m, nil
	}
	m.output = language == "console"
	if reason, ok := strings.CutPrefix(rest, "not run: "); ok && strings.TrimSpace(reason) != "" {
		m.reason = reason
		return m, nil
	}
	m.run, m.cluster = rest == "run" || rest == "run cluster", rest == "run cluster"
	if !m.run {
		return m, fmt.Errorf("%v: %q does not say whether its commands are run; write \"%s run\", \"%s run cluster\" or \"%s not run: REASON\"",
			b, b.info, language, language, language)
	}
	return m, nil
}

// A command is one command of a block, with what the document says it prints.
type command struct {
	text   string
	prints []string
}

// commandsOf splits a console block. A command's text may go over several lines:
// after a backslash, or up to the end of a here-document.
func commandsOf(b *block) (commands []*command, err error) {
	continued, until := false, ""
	for _, line := range b.lines {
		text, begins := strings.CutPrefix(line, "$ ")
		switch {
		case until != "" || continued:
			last := commands[len(commands)-1]
			last.text += "\n" + line
			continued = until == "" && strings.HasSuffix(line, `\`)
			if line == until {
				until = ""
			}
		case begins:
			commands = append(commands, &command{text: text})
			continued = strings.HasSuffix(text, `\`)
			if m := hereDocument.FindStringSubmatch(text); m != nil {
				until = m[1]
			}
		case len(commands) == 0:
			return nil, fmt.Errorf("%v: a console block begins with a command, \"$ …\"", b)
		default:
			last := commands[len(commands)-1]
			last.prints = append(last.prints, line)
		}
	}
	return commands, nil
}

var hereDocument = regexp.MustCompile(`<<'(\w+)'`)

// A mask replaces what differs from run to run or from machine to machine.
type mask struct {
	pattern *regexp.Regexp
	instead string
}

var masks = []mask{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "HASH"},
	{regexp.MustCompile(`\bcommit (unknown|[0-9a-f]{7,40})( \(.*?\)|\+\w+)?`), "commit X"},
	{regexp.MustCompile(`\bgo1\.[0-9]+(\.[0-9]+)?\b`), "goX"},
	{regexp.MustCompile(`\bwall(=| time )\S+`), "wall X"},
	{regexp.MustCompile(`\b\d+ jobs$`), "N jobs"}, // as many as there are cores
	{regexp.MustCompile(`\(\d+\.\d+s\)`), "(X s)"},
	{regexp.MustCompile(`^(ok|FAIL)(\s+\S+)\s+(\d+\.\d+s|\(cached\))$`), "$1$2 X s"},
	{regexp.MustCompile(`\d+ a second and core`), "X a second and core"},
	{regexp.MustCompile(`_test\.go:\d+`), "_test.go:N"},
	{regexp.MustCompile(`^Date: .*`), "Date: X"},
	{regexp.MustCompile(`longest uncommitted log: \d+`), "longest uncommitted log: N"},
	{regexp.MustCompile(`\s+`), " "},
}

func masked(line string) string {
	for _, m := range masks {
		line = m.pattern.ReplaceAllString(strings.TrimSpace(line), m.instead)
	}
	return line
}

// differ describes the first difference between what a document shows and what
// was printed; it is empty if they agree. A line "…" in the document stands
// for any lines.
func differ(want, got []string) string {
	for i, line := range want {
		if strings.TrimSpace(line) == "…" {
			rest := want[i+1:]
			if len(rest) == 0 {
				return ""
			}
			for k := i; k <= len(got); k++ {
				if differ(rest, got[min(k, len(got)):]) == "" {
					return ""
				}
			}
			return fmt.Sprintf("nothing that was printed fits what follows …: %q", rest[0])
		}
		if i >= len(got) {
			return fmt.Sprintf("it no longer prints %q", line)
		}
		if masked(line) != masked(got[i]) {
			return fmt.Sprintf("it prints %q, and the document shows %q", got[i], line)
		}
	}
	if len(got) > len(want) {
		return fmt.Sprintf("it prints more: %q", got[len(want)])
	}
	return ""
}

// read returns the text of a document.
func read(document string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, document))
	return string(text), err
}
