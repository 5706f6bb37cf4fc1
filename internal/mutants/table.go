package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dkv/sim"
)

// The tables, for a terminal or as Markdown.

func (h *hunt) printf(format string, args ...any) { fmt.Fprintf(h.out, format, args...) }

func (h *hunt) printBugsHead() {
	h.printf("The figures are the number of seeds it took until a named oracle fired: the median and the worst of %d disjoint ranges (%s).\n\n",
		h.ranges, h.rangeWords())
	if h.markdown {
		h.printf("| planted | what it is | oracles | fired | first | median | worst |\n| --- | --- | --- | --- | --- | --- | --- |\n")
		return
	}
	h.printf("%-34s %-8s %-14s %-6s %8s %8s %8s", "mutant", "oracles", "fired", "first", "median", "worst", "time")
	if h.shrink {
		h.printf(" %8s %8s %6s %6s %8s %s", "faults", "calls", "runs", "left", "shrunk", "class")
	}
	h.printf("\n")
}

// printRow prints a row of a Markdown table, and keeps it for the page.
func (h *hunt) printRow(m *mutant, format string, args ...any) {
	row := fmt.Sprintf(format, args...)
	h.rows[m.name] = row
	h.printf("%s\n", row)
}

// rangeWords names the ranges, the middle ones by dots.
func (h *hunt) rangeWords() string {
	words := []string{}
	for k := range h.ranges {
		if k < 2 || k == h.ranges-1 {
			words = append(words, fmt.Sprintf("%d-%d", 1+k*h.seeds, (k+1)*h.seeds))
		} else if k == 2 {
			words = append(words, "…")
		}
	}
	return strings.Join(words, ", ")
}

func (h *hunt) printBug(m *mutant, c *catches) {
	median, worst := "-", "survives"
	if !c.survived() {
		median, worst = strconv.Itoa(c.median()), strconv.Itoa(c.worst())
	}
	if h.markdown {
		h.printRow(m, "| %s | %s | %s | %s | %s | %s | %s |", h.link(m), m.firstSentence(),
			joined(m.oracles, " "), orNone(joined(c.fired, " ")), orNone(joined(c.first, " ")), median, worst)
		return
	}
	h.printf("%-34s %-8s %-14s %-6s %8s %8s %8s%s\n", m.name, joined(m.oracles, ","), orNone(joined(c.fired, ",")),
		orNone(joined(c.first, ",")), median, worst, c.took.Round(100*time.Millisecond), c.shrunk)
	if c.survived() {
		h.printf("  survives range %d (what fired in it: %s): %s\n", len(c.seeds), orNone(c.left), m.story)
	}
	h.printZeros(m, c)
}

func (h *hunt) printBreakagesHead() {
	h.printf("\nThe harness itself, broken one thing at a time, and the test of its own that fails.\n\n")
	if h.markdown {
		h.printf("| broken | what it is | the test that fails |\n| --- | --- | --- |\n")
		return
	}
	h.printf("%-46s %-50s %8s\n", "breakage", "test", "time")
}

func (h *hunt) printBreakage(m *mutant, seen bool, took time.Duration) {
	verdict := m.test.dir + " " + m.test.name
	if !seen {
		verdict = "unseen by " + verdict
	}
	if h.markdown {
		h.printRow(m, "| %s | %s | %s |", h.link(m), m.firstSentence(), verdict)
		return
	}
	h.printf("%-46s %-50s %8s\n", m.name, verdict, took.Round(100*time.Millisecond))
	if !seen {
		h.printf("  passes with: %s\n", m.story)
	}
}

func (h *hunt) printBroken(m *mutant, err error) {
	if h.markdown {
		h.printf("| %s | %s | %s |\n", h.link(m), m.firstSentence(), strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	h.printf("%-34s %v\n", m.name, err)
}

func (h *hunt) link(m *mutant) string {
	return fmt.Sprintf("[%s](../%s/%s.mutant)", strings.TrimPrefix(m.name, harnessDir+"/"), h.dir, m.name)
}

// firstSentence returns the first sentence of the story, without its full stop.
func (m *mutant) firstSentence() string {
	sentence, _, _ := strings.Cut(m.story, ". ")
	return strings.TrimSuffix(sentence, ".")
}

func joined(list []sim.Class, between string) string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = string(c)
	}
	return strings.Join(words, between)
}

func orNone(words string) string {
	if words == "" {
		return "none"
	}
	return words
}
