package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// page is the document that holds the tables. Each stands between two markers,
// beginMark with its name and endMark.
const (
	page      = "docs/mutants.md"
	beginMark = "<!-- %s: written by make mutants ARGS=--markdown -->\n"
	endMark   = "<!-- end -->"
)

// tableRow matches a row of the page, and finds the mutant's file in its link.
var tableRow = regexp.MustCompile(`(?m)^\| \[[^\]]*\]\(\.\./sim/mutants/([^)]*)\.mutant\).*\|$`)

// updatePage replaces the rows of the mutants that were hunted, adds those that
// are new, and drops those of mutants that are gone.
func (h *hunt) updatePage() error {
	path := filepath.Join(h.root, filepath.FromSlash(page))
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	bugs, breakages, err := loadAll(filepath.Join(h.root, h.dir))
	if err != nil {
		return err
	}
	updated := string(text)
	if updated, err = h.updateTable(updated, "bugs", bugs); err != nil {
		return err
	}
	if updated, err = h.updateTable(updated, "breakages", breakages); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(updated), 0o644)
}

func (h *hunt) updateTable(text, name string, mutants []mutant) (string, error) {
	mark := fmt.Sprintf(beginMark, name)
	before, rest, found := strings.Cut(text, mark)
	table, after, ends := strings.Cut(rest, endMark)
	if !found || !ends {
		return "", fmt.Errorf("%s: no table between %q and %q", page, strings.TrimSpace(mark), endMark)
	}
	rows := make(map[string]string)
	for _, row := range tableRow.FindAllStringSubmatch(table, -1) {
		rows[row[1]] = row[0]
	}
	lines := slices.Collect(strings.Lines(table))
	head := strings.Join(lines[:min(2, len(lines))], "")
	for _, m := range mutants {
		row := h.rows[m.name]
		if row == "" {
			row = rows[m.name]
		}
		if row != "" {
			head += row + "\n"
		}
	}
	return before + mark + head + endMark + after, nil
}

// pageRows returns the names of the mutants in the page's tables, in order.
func pageRows(text string) []string {
	var names []string
	for _, row := range tableRow.FindAllStringSubmatch(text, -1) {
		names = append(names, row[1])
	}
	return names
}
