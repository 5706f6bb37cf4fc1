package report

import (
	"dkv/linearizability"
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Limits of a page, so that any browser can open it.
const (
	defaultPageOperations = 200_000
	maxPageFailures       = 20 // failing keys that are described
	maxPageSpans          = 50_000
	maxPageBands          = 10_000
	maxPagePlaces         = 50_000
	maxPageText           = 120 // bytes of a key, a value or a label
)

// Options say what a page shows beside the result. The zero value is valid.
type Options struct {
	Title    string // "" is "Linearizability report"
	Facts    []Fact // in this order
	Commands []Command
	// MaxOperations limits the operations on the page; 0 means 200,000. The
	// operations of failing keys take precedence, then those called nearest to a
	// contradiction; the page says how many are left out.
	MaxOperations int
}

// A Fact tells the reader where a history came from.
type Fact struct{ Name, Value string }

// A Command is a command line and what it does.
type Command struct{ What, Line string }

//go:embed page/*.html page/*.css page/*.js
var pageFiles embed.FS

// pageScripts lists the scripts in dependency order.
var pageScripts = []string{"data.js", "layout.js", "chart.js", "drawing.js", "contradiction.js", "details.js", "filters.js", "main.js"}

// WriteHTML writes a result as one HTML page: the verdict, the contradictions, and
// the whole history, to be explored together with its annotations. The history
// must be the one that was checked; annotations may be nil. The page needs no
// network and no other file.
func WriteHTML(w io.Writer, r *linearizability.Result, history []linearizability.Operation, annotations *linearizability.Annotations, o Options) error {
	if o.Title == "" {
		o.Title = "Linearizability report"
	}
	if o.MaxOperations <= 0 {
		o.MaxOperations = defaultPageOperations
	}
	if annotations == nil {
		annotations = &linearizability.Annotations{}
	}
	content, err := json.Marshal(newPage(r, history, annotations, o)) // which leaves no "<" in it
	if err != nil {
		return fmt.Errorf("encoding the page: %w", err)
	}
	var script strings.Builder
	for _, name := range pageScripts {
		script.WriteString(pageFile(name))
	}
	rest := pageFile("page.html")
	for _, part := range []struct{ mark, text string }{
		{"TITLE", html.EscapeString(o.Title)},
		{"STYLE", pageFile("page.css")},
		{"CONTENT", string(content)},
		{"SCRIPT", script.String()},
	} {
		before, after, found := strings.Cut(rest, "{{"+part.mark+"}}")
		if !found {
			panic("report: page.html has no mark {{" + part.mark + "}}")
		}
		rest = after
		for _, text := range []string{before, part.text} {
			if _, err := io.WriteString(w, text); err != nil {
				return fmt.Errorf("writing the page: %w", err)
			}
		}
	}
	if _, err := io.WriteString(w, rest); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func pageFile(name string) string {
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic("report: " + err.Error())
	}
	return string(text)
}

// page is the content of a page, as its script reads it.
type page struct {
	Title       string          `json:"title"`
	Verdict     string          `json:"verdict"`
	Why         string          `json:"why"`
	Operations  int             `json:"operations"`
	Facts       []Fact          `json:"facts"`
	Commands    []Command       `json:"commands"`
	History     *pageHistory    `json:"history"`
	Failures    []pageFailure   `json:"failures"`
	FailedKeys  int             `json:"failedKeys"`
	Annotations pageAnnotations `json:"scene"`
}

// pageAnnotations encodes the annotations as rows of numbers and texts. Times are
// relative to the time base of the history.
type pageAnnotations struct {
	Lanes  []string          `json:"lanes"`
	Spans  [][]any           `json:"spans"` // lane, state, partition, epoch, from, to, label
	Bands  [][]any           `json:"bands"` // kind, label, from, to
	Places map[string]string `json:"places"`
	Left   int               `json:"left"` // spans and bands left out
}

// A pageFailure describes a key that is not linearizable or undecided.
type pageFailure struct {
	Key       int            `json:"key"`
	Verdict   string         `json:"verdict"`
	Numbers   string         `json:"numbers"`
	Sentences []pageSentence `json:"sentences"`
	Core      []int          `json:"core"` // by their numbers on the page
	Context   []int          `json:"context"`
	Confirmed bool           `json:"confirmed"`
	Left      int            `json:"left"` // operations of core and context left out
	Porcupine *porcupineView `json:"porcupine"`
}

type pageSentence struct {
	Class string `json:"class"`
	Words string `json:"words"`
	Text  string `json:"text"`
}

var classWords = map[linearizability.Class]string{
	linearizability.NotLinearizable: "not linearizable",
	linearizability.RefusedSeen:     "the value of a refused put was seen",
	linearizability.WriteLost:       "an acknowledged write was lost",
}

func newPage(r *linearizability.Result, history []linearizability.Operation, annotations *linearizability.Annotations, o Options) *page {
	p := &page{
		Title: o.Title, Verdict: r.Verdict.String(), Why: why(r), Operations: len(history),
		Facts: slices.Concat(o.Facts, factsOf(r)), Commands: append([]Command{}, o.Commands...),
		Failures: []pageFailure{},
	}
	p.History = encodeHistory(choosePageOperations(r, history, o.MaxOperations), annotations)
	byName := make(map[string][]*linearizability.Operation)
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict == linearizability.Linearizable {
			continue
		}
		if p.FailedKeys++; p.FailedKeys <= maxPageFailures {
			byName[k.Key] = nil
		}
	}
	for i := range history {
		if ops, failed := byName[history[i].Key]; failed {
			byName[history[i].Key] = append(ops, &history[i])
		}
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict != linearizability.Linearizable && len(p.Failures) < maxPageFailures {
			p.Failures = append(p.Failures, p.failure(r, k, byName[k.Key]))
		}
	}
	p.Annotations = encodeAnnotations(annotations, p.History)
	return p
}

// why explains the verdict in one sentence.
func why(r *linearizability.Result) string {
	switch r.Verdict {
	case linearizability.Linearizable:
		return "Every answer can be explained by operations that each take effect at one instant between call and return."
	case linearizability.Undecided:
		return "The step budget ran out, or the two checkers disagree. This counts as a failure."
	}
	return "No order of the operations explains all of their answers."
}

// factsOf returns the facts of the result itself.
func factsOf(r *linearizability.Result) []Fact {
	var methods [linearizability.ByGeneralSearch + 1]int
	for i := range r.Keys {
		methods[r.Keys[i].Method]++
	}
	var ways []string
	for m, keys := range methods {
		if keys > 0 {
			ways = append(ways, fmt.Sprintf("%s: %s", linearizability.Method(m), counted(keys, "key")))
		}
	}
	facts := []Fact{{"operations", fmt.Sprintf("%d on %s", r.Operations, counted(len(r.Keys), "key"))}}
	if r.Nameless() {
		facts, ways = []Fact{{"operations", strconv.Itoa(r.Operations)}}, []string{r.Keys[0].Method.String()}
	}
	if len(ways) > 0 {
		facts = append(facts, Fact{"decided by", strings.Join(ways, ", ")})
	}
	return facts
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func (p *page) failure(r *linearizability.Result, k *linearizability.KeyResult, ops []*linearizability.Operation) pageFailure {
	f := pageFailure{
		Key: p.History.keyNumber[k.Key], Verdict: k.Verdict.String(),
		Numbers:   fmt.Sprintf("%s, %d after pruning, %s", counted(k.Operations, "operation"), k.Kept, counted(k.Steps, "step")),
		Sentences: []pageSentence{}, Core: []int{}, Context: []int{},
		Confirmed: k.Verdict == linearizability.Illegal && k.Asked && k.SecondOpinion == linearizability.Illegal,
	}
	switch {
	case k.Verdict == linearizability.Illegal:
		for _, v := range r.Violations {
			if v.Key == k.Key {
				f.Sentences = append(f.Sentences, pageSentence{string(v.Class), classWords[v.Class], v.Sentence})
			}
		}
	case k.Disagree:
		f.Sentences = append(f.Sentences, pageSentence{"", "the checkers disagree", "Porcupine says " + k.SecondOpinion.String() + "; one of the two checkers has a bug"})
	default:
		f.Sentences = append(f.Sentences, pageSentence{"", "undecided", k.OutOfBudget()})
	}
	if c := k.Contradiction; c != nil {
		rows, left := c.Rows()
		f.Left = left
		for _, op := range rows {
			at, shown := p.History.number(op)
			switch {
			case !shown:
				f.Left++
			case slices.Contains(c.Core, op):
				f.Core = append(f.Core, at)
			default:
				f.Context = append(f.Context, at)
			}
		}
	}
	if len(p.Failures) < maxPorcupineViews {
		f.Porcupine = viewOfPorcupine(r.Model, byCall(ops), k.Contradiction)
	}
	return f
}

// byCall sorts operations in place, by call.
func byCall(ops []*linearizability.Operation) []*linearizability.Operation {
	slices.SortFunc(ops, func(a, b *linearizability.Operation) int { return int(a.Call - b.Call) })
	return ops
}

// choosePageOperations returns at most the given number of operations, by call.
func choosePageOperations(r *linearizability.Result, history []linearizability.Operation, most int) []*linearizability.Operation {
	chosen := make([]*linearizability.Operation, len(history))
	for i := range history {
		chosen[i] = &history[i]
	}
	byCall(chosen)
	if len(chosen) <= most {
		return chosen
	}
	failed := make(map[string]bool)
	inCore := make(map[*linearizability.Operation]bool)
	var near linearizability.Stamp // the call that the page is centred on
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict == linearizability.Linearizable {
			continue
		}
		failed[k.Key] = true
		if k.Contradiction != nil {
			for _, op := range slices.Concat(k.Contradiction.Core, k.Contradiction.Context) {
				inCore[op] = true
				near = max(near, op.Call)
			}
		}
	}
	rank := func(op *linearizability.Operation) (class int, distance linearizability.Stamp) {
		distance = max(op.Call-near, near-op.Call)
		switch {
		case inCore[op]:
			return 0, distance
		case failed[op.Key]:
			return 1, distance
		}
		return 2, distance
	}
	slices.SortStableFunc(chosen, func(a, b *linearizability.Operation) int {
		ca, da := rank(a)
		cb, db := rank(b)
		if ca != cb {
			return ca - cb
		}
		return int(da - db)
	})
	return byCall(chosen[:most])
}
