package tidy

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// markdownLink finds the target of a link; [text](target) or ![text](target).
var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// checkLinks checks that every relative link of a Markdown file leads to a file
// or directory of the module.
func checkLinks(tr *tree) []string {
	return deadLinks(tr, func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	})
}

func deadLinks(tr *tree, exists func(name string) bool) (problems []string) {
	for name, text := range tr.texts {
		if path.Ext(name) != ".md" {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, match := range markdownLink.FindAllStringSubmatch(line, -1) {
				target, _, _ := strings.Cut(match[1], "#")
				if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				if file := path.Join(path.Dir(name), target); !exists(file) {
					problems = append(problems, fmt.Sprintf("%s:%d: the link to %s leads nowhere", name, i+1, match[1]))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func TestLinksCanFail(t *testing.T) {
	there := func(name string) bool { return name == "docs/there.md" || name == "node" }
	prove(t, func(tr *tree) []string { return deadLinks(tr, there) }, []proof{
		{"links that lead somewhere", one("docs/a.md", "[a](there.md) [b](there.md#part) [c](#here) [d](https://x.test/y) [e](../node)\n"), nil},
		{"a link to a file that was moved", one("docs/a.md", "text\n[a](gone.md) and ![p](../picture.png)\n"),
			[]string{"docs/a.md:2: the link to ../picture.png leads nowhere", "docs/a.md:2: the link to gone.md leads nowhere"}},
		{"other files are not read", one("a.txt", "[a](gone.md)\n"), nil},
	})
}
