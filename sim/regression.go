package sim

import (
	"dkv/sim/schedule"
	"fmt"
	"strings"
)

// shortSchedule is the number of lines from which on a failure does not print its
// schedule.
const shortSchedule = 40

// inline returns the schedule's text behind a margin, or "" if it is long.
func inline(s *schedule.Schedule, margin string) string {
	text := strings.TrimSuffix(s.FileText(), "\n")
	if strings.Count(text, "\n") >= shortSchedule {
		return ""
	}
	return margin + strings.ReplaceAll(text, "\n", "\n"+margin) + "\n"
}

// RegressionTest returns the run's schedule as a Go test, ready to be pasted into
// sim_test.go. The test fails as long as the run does. Its comment
// quotes the worst violation; replace it with an explanation of the bug.
func RegressionTest(r *Result) string {
	var b strings.Builder
	name := fmt.Sprintf("TestSeed%dClass%s", r.Schedule.Setup.Seed, joinedLetters(r.Classes))
	story := "no violation of its worst class was kept"
	for _, v := range r.Violations {
		if v.Class == r.Classes[0] {
			story, _, _ = strings.Cut(v.String(), "\n")
			break
		}
	}
	for i, line := range wrap(name+" repeats a run that failed: "+story, 76) {
		if i == 0 || line != "" {
			b.WriteString("// " + line + "\n")
		}
	}
	fmt.Fprintf(&b, "func %s(t *testing.T) {\n\ts, err := schedule.Parse(`\n%s`)\n", name, r.Schedule.FileText())
	b.WriteString("\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n\tpassAndRepeat(t, s)\n}\n")
	return b.String()
}

func joinedLetters(classes []Class) string {
	return strings.ReplaceAll(joinClasses(classes), ",", "")
}

// wrap breaks a text at spaces into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
