package node

import (
	"fmt"
	"testing"
)

// The order of a start, tried exhaustively: a disk is started, makes commits, is told of
// in ZooKeeper's record, is saved, crashes and is restored, in every order, up to a few of
// each. No process may act on a disk that was restored to before a stamp in the record.
// Two weaker rules break within the bound, and the shortest history of each is printed if it
// changes.

// model is one state of the world.
type model struct {
	disk, saved modelDisk
	isSaved     bool
	rolled      bool // the disk was restored to before what the record was told
	up, acts    bool
	compares    Stamp // what this process compares with the record
	record      Stamp
	starts      int
	commits     int
	restores    int
	crashes     int
}

// modelDisk is what a disk holds, as text for the lineage so that states compare.
type modelDisk struct {
	lines string
	now   Stamp
}

// bootRule is a way to start: what the start makes durable before it compares, and what it
// compares.
type bootRule struct {
	name string
	// clear reports whether what the process knows goes together with the record.
	clear func(m *model, l Lineage) bool
}

var bootRules = []bootRule{
	{"the lineage keeps what was found", func(m *model, l Lineage) bool { return !l.contradicts(m.record) }},
	{"the start raises the stamp, and compares that", func(m *model, l Lineage) bool { return m.disk.now.Count >= m.record.Count }},
	{"what was found is compared, and kept in memory only", func(m *model, l Lineage) bool { return m.compares.Count >= m.record.Count }},
}

// next returns the states that can follow, each with what happened.
func (m model) next(rule bootRule, lineages map[string]Lineage) (after []model, what []string) {
	add := func(n model, w string) { after, what = append(after, n), append(what, w) }
	l := lineages[m.disk.lines]
	if !m.up && m.starts < 3 {
		n := m
		n.up, n.starts, n.compares = true, m.starts+1, m.disk.now
		extended, _ := l.extend(LineID(n.starts), m.disk.now.Count, 0)
		n.disk = modelDisk{fmt.Sprint(extended), Stamp{extended.Running(), m.disk.now.Count + 1}}
		lineages[n.disk.lines] = extended
		add(n, "start")
	}
	if m.up && !m.acts && rule.clear(&m, l) {
		n := m
		n.acts = true
		add(n, "the record agrees: acts")
	}
	if m.acts && m.commits < 2 {
		n := m
		n.commits++
		n.disk.now.Count++
		add(n, "commit")
	}
	if m.acts && m.record != m.disk.now {
		n := m
		n.record = m.disk.now
		add(n, "tell the record")
	}
	if !m.isSaved {
		n := m
		n.saved, n.isSaved = m.disk, true
		add(n, "save")
	}
	if m.up && m.crashes < 2 {
		n := m
		n.up, n.acts, n.crashes = false, false, m.crashes+1
		add(n, "crash")
	}
	if !m.up && m.isSaved && m.restores < 1 {
		n := m
		n.disk, n.restores = m.saved, 1
		n.rolled = m.saved.now.Count < m.record.Count
		add(n, "restore")
	}
	return after, what
}

// explore returns the shortest history in which a process acts on a disk that was rolled
// back, and how many states there are.
func explore(rule bootRule) (history []string, states int) {
	type visit struct {
		m    model
		from int
		what string
	}
	lineages := map[string]Lineage{"": nil}
	seen := map[model]bool{{}: true}
	queue := []visit{{from: -1}}
	for i := 0; i < len(queue); i++ {
		if m := queue[i].m; m.acts && m.rolled {
			for at := i; queue[at].from >= 0; at = queue[at].from {
				history = append([]string{queue[at].what}, history...)
			}
			return history, len(queue)
		}
		after, what := queue[i].m.next(rule, lineages)
		for k, m := range after {
			if !seen[m] {
				seen[m] = true
				queue = append(queue, visit{m, i, what[k]})
			}
		}
	}
	return nil, len(queue)
}

func TestNoOrderOfAStartHidesARollBack(t *testing.T) {
	for i, rule := range bootRules {
		history, states := explore(rule)
		t.Logf("%s: %d states, %d steps: %q", rule.name, states, len(history), history)
		if states < 500 && history == nil {
			t.Errorf("%s: only %d states were tried", rule.name, states)
		}
		if (history == nil) != (i == 0) {
			t.Errorf("%s: acts after a roll-back: %q", rule.name, history)
		}
	}
}
