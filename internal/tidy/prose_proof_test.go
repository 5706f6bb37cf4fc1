package tidy

import (
	"strings"
	"testing"
)

// apart returns the text without its bars, which keep the words of this file
// from being found in it.
func apart(text string) string { return strings.ReplaceAll(text, "¦", "") }

func TestWordsCanFail(t *testing.T) {
	words := []string{"who¦m", "Who¦ever", "no¦body", "some¦body", "ANY¦BODY", "is¦ none", "mend¦ing", "once mo¦re", "goes o¦n", "is¦ no", "There is¦ none"}
	var proofs []proof
	for _, word := range words {
		word = apart(word)
		quoted := `"` + strings.TrimPrefix(word, "There ") + `"`
		proofs = append(proofs, proof{word, one("a.md", "One line.\nIt "+word+" other.\n"), []string{"a.md:2: " + quoted}})
	}
	proofs = append(proofs, []proof{
		{"plain English", one("a.md", "There is no other way. This is no longer so. Whomp, nobodys, gone once moreover; this no more. It is no-op.\n"), nil},
		{"over a line break", map[string]string{
			"node/x.go":    apart("package node\n\n// It goes\n// o¦n.\n"),
			"scripts/x.sh": apart("# once\n# mo¦re\n"),
			"a.md":         "there\nis no way, it is\nno longer\n",
		}, []string{apart(`node/x.go:3: "goes o¦n"`), apart(`scripts/x.sh:1: "once mo¦re"`)}},
		{"everywhere", map[string]string{
			"node/x.go":           apart("package node\n\nvar x = \"no¦body\"\n"),
			"sim/testdata/x.txt":  apart("# who¦m\n"),
			"sim/mutants/x":       apart("who¦m\n"),
			".github/x.yml":       apart("# who¦m\n"),
			"page/x.js":           apart("// who¦m\n"),
			"sim/testdata/x.go":   apart("who¦m is not Go\n"),
			"testdata/fuzz/Fuzz/": apart("who¦m\n"),
		}, []string{".github/x.yml:1", "node/x.go:3", "page/x.js:1", "sim/mutants/x:1", "sim/testdata/x.go:1", "sim/testdata/x.txt:1"}},
		{"written by others", map[string]string{"LICENSE": apart("TO WHO¦M IT MAY\n"), "go.sum": apart("who¦m\n")}, nil},
	}...)
	prove(t, checkWords, proofs)
}

func TestDesignCanFail(t *testing.T) {
	prove(t, checkDesign, []proof{
		{"the word", one("a.md", "The design, by design: DESIGNS\n"), nil},
		{"the document", map[string]string{
			"node/x.go": apart("package node\n\n// See DE¦SIGN section 5.\n"),
			"x.md":      apart("DE¦SIGN.md\n"),
		}, []string{"node/x.go:3: ", "x.md:1: "}},
	})
}

func TestRulesCanFail(t *testing.T) {
	document := "# Rules\n\n### first rule\nFormerly: 1\n\n### second rule\n\nFormerly: 2\n\n### not a rule\n\nText.\n"
	with := func(files ...string) map[string]string {
		all := map[string]string{protocol: document}
		for i := 0; i < len(files); i += 2 {
			all[files[i]] = apart(files[i+1])
		}
		return all
	}
	cite := func(tr *tree) []string { return checkRules(tr, false) }
	prove(t, cite, []proof{
		{"no citation", with("node/x.go", "package node\n\n// The rule is \"none\".\n"), nil},
		{"all exist", with("node/x.go", "package node\n\n// By ru¦le \"first rule\" and ru¦le \"second\n// rule\".\nvar x = \"ru¦les \\\"first rule\\\", \\\"second rule\\\" and \\\"first rule\\\"\"\n",
			"a.md", "ru¦le\n\"second rule\"\n"), nil},
		{"unknown", with("node/x.go", "package node\n\n// By ru¦le \"third rule\".\n"), []string{`node/x.go:3: "third rule" is not one`}},
		{"unknown in a string", with("node/x_test.go", "package node\n\nvar x = \"ru¦le \\\"third\\\"\"\n"), []string{`node/x_test.go:3: "third" is not one`}},
		{"unknown over a line break", with("node/x.go", "package node\n\n// ru¦le\n// \"third\n// rule\"\n"), []string{`node/x.go:3: "third rule" is not one`}},
		{"unknown behind another", with("a.md", "ru¦les \"first rule\" and \"third rule\"\n"), []string{`a.md:1: "third rule" is not one`}},
		{"a heading without a former number", with("a.md", "ru¦le \"not a rule\"\n"), []string{`"not a rule" is not one`}},
		{"a name twice", map[string]string{protocol: document + "### first rule\nFormerly: 3\n"}, []string{`"first rule" stands there twice`}},
	})
	test := func(tr *tree) []string { return checkRules(tr, true) }
	prove(t, test, []proof{
		{"all tested", with("node/x_test.go", "package node\n\n// ru¦le \"first rule\"\n\nvar x = \"ru¦le \\\"second rule\\\"\"\n"), nil},
		{"one untested", with("node/x_test.go", "package node\n\n// ru¦le \"first rule\"\n", "node/x.go", "package node\n\n// ru¦le \"second rule\"\n"),
			[]string{`docs/protocol.md: "second rule" is not cited by any test`}},
	})
}
