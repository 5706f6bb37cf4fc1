package tidy

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// writtenByOthers lists texts that are not ours to change.
var writtenByOthers = []string{
	"LICENSE",
	"go.sum",
	"linearizability/report/testdata/browser/package-lock.json",
}

// sep matches what separates two words, also when a line of a comment ends
// between them.
const sep = `[\s/#*>|]+`

// The telltale words are written in pieces so that they do not match themselves.
var (
	telltale = regexp.MustCompile(`(?i)\b(who` + `m|who` + `ever|no` + `body|some` + `body|any` + `body|mend` + `ing` +
		`|is` + sep + `none|once` + sep + `more|goes` + sep + `on)\b`)
	isNo = regexp.MustCompile(`(?i)(\bthere` + sep + `)?\bis` + sep + `no\b(-|` + sep + `longer\b)?`)
)

// checkWords: no text contains the words and phrases that give away an English
// that no native speaker would have written.
func checkWords(tr *tree) (problems []string) {
	for name, text := range tr.prose() {
		found := telltale.FindAllIndex(text, -1)
		for _, m := range isNo.FindAllSubmatchIndex(text, -1) {
			if m[2] < 0 && m[4] < 0 { // neither "there" before it nor "longer" after it
				found = append(found, m[:2])
			}
		}
		for _, m := range found {
			problems = append(problems, fmt.Sprintf("%s:%d: %q: rewrite it in plain English",
				name, lineOf(text, m[0]), oneLine(text[m[0]:m[1]])))
		}
	}
	slices.Sort(problems)
	return problems
}

// design is written in pieces so that it does not match itself.
var design = regexp.MustCompile(`\bDE` + `SIGN\b`)

// checkDesign: no text refers to a document outside the repository.
func checkDesign(tr *tree) (problems []string) {
	for name, text := range tr.prose() {
		for _, m := range design.FindAllIndex(text, -1) {
			problems = append(problems, fmt.Sprintf("%s:%d: %s is not in the repository: cite the rule by its name in %s",
				name, lineOf(text, m[0]), text[m[0]:m[1]], protocol))
		}
	}
	slices.Sort(problems)
	return problems
}

// protocol is the document that names the rules of the protocol.
const protocol = "docs/protocol.md"

var (
	// A rule is a heading of the third level, followed by its former number.
	ruleHeading = regexp.MustCompile(`(?m)^### (.+)\n+Formerly: `)

	// A citation is the word rule and a name in quotes, or several of them.
	quotedName   = `\\?"[^"\\]+\\?"`
	ruleCitation = regexp.MustCompile(`\brules?` + sep + quotedName + `((,|,?` + sep + `(and|or))` + sep + quotedName + `)*`)
	citedName    = regexp.MustCompile(`"([^"\\]+)\\?"`)
)

// checkRules: each rule of the protocol that a text cites exists, and a test
// cites each rule that exists.
func checkRules(tr *tree, tested bool) (problems []string) {
	known := map[string]bool{} // by its name: whether a test cites it
	for _, m := range ruleHeading.FindAllSubmatch(tr.texts[protocol], -1) {
		name := string(m[1])
		if _, again := known[name]; again {
			problems = append(problems, fmt.Sprintf("%s: %q stands there twice", protocol, name))
		}
		known[name] = false
	}
	for file, text := range tr.prose() {
		for _, at := range ruleCitation.FindAllIndex(text, -1) {
			for _, m := range citedName.FindAllSubmatch(text[at[0]:at[1]], -1) {
				name := oneLine(m[1])
				if _, ok := known[name]; !ok {
					problems = append(problems, fmt.Sprintf("%s:%d: %q is not one of the rules in %s", file, lineOf(text, at[0]), name, protocol))
				} else if strings.HasSuffix(file, "_test.go") {
					known[name] = true
				}
			}
		}
	}
	for name, cited := range known {
		if tested && !cited {
			problems = append(problems, fmt.Sprintf("%s: %q is not cited by any test", protocol, name))
		}
	}
	slices.Sort(problems)
	return problems
}

// prose returns the texts of the module that we wrote.
func (tr *tree) prose() map[string][]byte {
	texts := maps.Clone(tr.texts)
	maps.DeleteFunc(texts, func(name string, _ []byte) bool {
		return within(name, writtenByOthers) || path.Ext(name) == ".svg"
	})
	return texts
}

// lineOf returns the number of the line that contains the offset.
func lineOf(text []byte, offset int) int { return 1 + bytes.Count(text[:offset], []byte("\n")) }

// lineBreak matches the end of a line and what introduces the next one.
var lineBreak = regexp.MustCompile(`\s*\n` + sep)

// oneLine joins the lines of a phrase.
func oneLine(phrase []byte) string { return string(lineBreak.ReplaceAll(phrase, []byte(" "))) }
