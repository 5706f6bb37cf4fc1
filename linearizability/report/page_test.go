package report

import (
	"bytes"
	"dkv/linearizability"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// annotationsUntil returns annotations of five nodes for a history that ends at the
// given time.
func annotationsUntil(end time.Duration, keys []string) *linearizability.Annotations {
	s := &linearizability.Annotations{Partitions: map[string]string{}}
	at := func(share float64) time.Duration { return time.Duration(share * float64(end)) }
	for n := 1; n <= 5; n++ {
		s.Spans = append(s.Spans, linearizability.Span{Lane: fmt.Sprintf("n%d", n), State: linearizability.Up, From: 0})
	}
	for p := range 8 {
		s.Spans = append(s.Spans, linearizability.Span{Lane: fmt.Sprintf("n%d", p%5+1), State: linearizability.Primary, Partition: fmt.Sprint(p), Epoch: 1, From: at(0.02)})
	}
	for _, x := range []struct {
		node     int
		state    linearizability.SpanState
		from, to float64
		kind     string
		label    string
	}{
		{1, linearizability.Down, 0.15, 0.3, linearizability.BandFault, "crash n1"}, {3, linearizability.Paused, 0.45, 0.55, linearizability.BandFault, "pause n3"},
		{2, linearizability.Down, 0.62, 0.7, linearizability.BandFault, "crash n2"}, {0, 0, 0.4, 0.5, linearizability.BandZooKeeper, "zk-down"}, {0, 0, 0.8, 0.8, linearizability.BandZooKeeper, "another leader"},
	} {
		s.Bands = append(s.Bands, linearizability.Band{Kind: x.kind, Label: x.label, From: at(x.from), To: at(x.to)})
		if x.node == 0 {
			continue
		}
		lane := fmt.Sprintf("n%d", x.node)
		s.Spans = append(s.Spans, linearizability.Span{Lane: lane, State: x.state, From: at(x.from)}, linearizability.Span{Lane: lane, State: linearizability.Up, From: at(x.to)})
		if x.state == linearizability.Down {
			for p := x.node - 1; p < 8; p += 5 {
				s.Spans = append(s.Spans, linearizability.Span{Lane: fmt.Sprintf("n%d", x.node%5+1), State: linearizability.Primary, Partition: fmt.Sprint(p), Epoch: 2, From: at(x.from + 0.03)})
			}
		}
	}
	for i, key := range keys {
		s.Partitions[key] = fmt.Sprint(i % 8)
	}
	return s
}

// plantStaleRead gives a history times and nodes, and gives one read a value that an
// acknowledged put had overwritten before. It returns that read and all keys.
func plantStaleRead(t testing.TB, history []linearizability.Operation) (planted *linearizability.Operation, keys []string) {
	t.Helper()
	seen := map[string]bool{}
	versions := map[string][]*linearizability.Operation{} // acknowledged puts
	for i := range history {
		op := &history[i]
		op.Node = fmt.Sprintf("n%d", op.Client%5+1)
		op.CallTime = time.Duration(op.Call) * 97 * time.Microsecond
		op.ReturnTime = time.Duration(op.Return) * 97 * time.Microsecond
		if !seen[op.Key] {
			seen[op.Key] = true
			keys = append(keys, op.Key)
		}
		if op.Kind == linearizability.Put && op.Outcome == linearizability.OK && !op.Answer.ConditionFailed && op.Answer.Version != 0 {
			versions[op.Key] = append(versions[op.Key], op)
		}
		if planted != nil || i < len(history)/2 || op.Kind != linearizability.Get || op.Outcome != linearizability.OK || !op.Answer.HasValue {
			continue
		}
		var old, newer *linearizability.Operation
		for _, put := range versions[op.Key] {
			if put.Return < op.Call && (newer == nil || put.Answer.Version > newer.Answer.Version) {
				old, newer = newer, put
			}
		}
		if old != nil {
			planted = op
			op.Answer.Value, op.Answer.Version = old.Value, old.Answer.Version
		}
	}
	if planted == nil {
		t.Fatal("no read to plant a violation in")
	}
	return planted, keys
}

// bigHistory returns a history of 64 clients with one stale read.
func bigHistory(t testing.TB, operations int) ([]linearizability.Operation, *linearizability.Annotations) {
	rng := rand.New(rand.NewPCG(4, 4))
	history := drawHistory(rng, historyShape{clients: 64, keys: max(4, operations/50), operations: operations, unknown: 2, refused: 3, indexed: true})
	_, keys := plantStaleRead(t, history)
	return history, annotationsUntil(history[len(history)-1].CallTime, keys)
}

func writePage(t testing.TB, history []linearizability.Operation, annotations *linearizability.Annotations, o Options) (page string, r *linearizability.Result) {
	t.Helper()
	r, err := linearizability.Check(history, linearizability.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteHTML(&b, r, history, annotations, o); err != nil {
		t.Fatal(err)
	}
	return b.String(), r
}

// contentOf parses the content of a page as its script does.
func contentOf(t testing.TB, text string) *page {
	t.Helper()
	_, rest, found := strings.Cut(text, `<script type="application/json" id="content">`)
	raw, _, closed := strings.Cut(rest, "</script>")
	var p page
	if !found || !closed {
		t.Fatal("the page has no content")
	}
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// A pageDecoder decodes the columns of a page.
type pageDecoder struct {
	t       testing.TB
	h       *pageHistory
	columns map[string][]byte
	last    map[string]int64
	at      int
}

func (d *pageDecoder) next(column string) uint64 {
	if d.columns[column] == nil {
		raw, err := base64.StdEncoding.DecodeString(d.h.Columns[column])
		if err != nil {
			d.t.Fatal(err)
		}
		d.columns[column] = raw
	}
	v, n := binary.Uvarint(d.columns[column])
	if n <= 0 {
		d.t.Fatalf("column %s ends at operation %d", column, d.at)
	}
	d.columns[column] = d.columns[column][n:]
	return v
}

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

func (d *pageDecoder) sparse(column string) uint64 {
	n := d.next(column)
	if n == 0 {
		return 0
	}
	d.last[column] += unzigzag(n - 1)
	if exact, told := d.h.Exact[fmt.Sprintf("%s:%d", column, d.at)]; told {
		v, err := strconv.ParseUint(exact, 10, 64)
		if err != nil {
			d.t.Fatal(err)
		}
		return v
	}
	return uint64(d.last[column])
}

func textOf(table []string, n uint64) string {
	if n == 0 {
		return ""
	}
	return table[n-1]
}

// history returns the operations of a page.
func (d *pageDecoder) history() []linearizability.Operation {
	h := d.h
	stamp, err := strconv.ParseInt(h.StampBase, 10, 64)
	base, err2 := strconv.ParseInt(h.TimeBase, 10, 64)
	if err != nil || err2 != nil {
		d.t.Fatal(err, err2)
	}
	var ops []linearizability.Operation
	now := base
	for d.at = 0; d.at < h.Count; d.at++ {
		stamp += int64(d.next("call"))
		op := linearizability.Operation{Call: linearizability.Stamp(stamp)}
		if n := d.next("return"); n != 0 {
			op.Return = linearizability.Stamp(stamp + int64(n))
		}
		if h.HasTimes {
			now += unzigzag(d.next("callTime"))
			op.CallTime = time.Duration(now)
			op.ReturnTime = time.Duration(now + unzigzag(d.next("took")))
		}
		op.Client, op.Key = h.Clients[d.next("client")], h.Keys[d.next("key")]
		op.Node, op.Kind = textOf(h.Nodes, d.next("node")), linearizability.Kind(d.next("kind"))
		flags := d.next("flags")
		op.Outcome, op.IfAbsent = linearizability.Outcome(flags&3), flags&16 != 0
		op.Answer.Found, op.Answer.ConditionFailed = flags&4 != 0, flags&8 != 0
		op.Value = textOf(h.Values, d.next("value"))
		met := d.next("met")
		op.Answer.Value, op.Answer.HasValue = textOf(h.Values, met), met != 0
		op.Answer.Version, op.Answer.Index = linearizability.Version(d.sparse("version")), linearizability.Index(d.sparse("index"))
		op.IfMatch = linearizability.Version(d.sparse("ifMatch"))
		ifValue := d.next("ifValue")
		op.IfValue, op.HasIfValue, op.Answer.Unreported = textOf(h.Values, ifValue), ifValue != 0, flags&64 != 0
		if (flags&32 != 0) != op.Observes() {
			d.t.Fatalf("operation %d: the observes flag is wrong", d.at)
		}
		ops = append(ops, op)
	}
	return ops
}

func decodePage(t testing.TB, text string) []linearizability.Operation {
	d := &pageDecoder{t: t, h: contentOf(t, text).History, columns: map[string][]byte{}, last: map[string]int64{}}
	return d.history()
}

// Decoding a page gives back the history.
func TestPageHoldsTheWholeHistory(t *testing.T) {
	const since1970 = 1_764_000_000_000_000_000
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		history := drawHistory(rng, historyShape{clients: 5, keys: 3, operations: 120, unknown: 10, refused: 10, bare: 20, indexed: seed%2 == 0})
		for i := range history {
			op := &history[i]
			if seed%3 == 0 {
				continue // without times
			}
			op.Node = fmt.Sprintf("n%d", op.Client)
			op.CallTime, op.ReturnTime = time.Duration(op.Call)*1000, time.Duration(op.Return)*1000
			if seed%3 == 2 {
				op.CallTime += since1970
				op.ReturnTime += since1970
				op.Call += since1970
				if op.Return != 0 {
					op.Return += since1970
				}
				if op.Answer.Version != 0 {
					op.Answer.Version += 1 << 60
				}
				if op.IfMatch != 0 {
					op.IfMatch += 1 << 60
				}
			}
		}
		text, _ := writePage(t, history, nil, Options{})
		if got := decodePage(t, text); !reflect.DeepEqual(got, history) {
			for i := range history {
				if i < len(got) && got[i] != history[i] {
					t.Fatalf("seed %d, operation %d: %+v became %+v", seed, i, history[i], got[i])
				}
			}
			t.Fatalf("seed %d: %d operations became %d", seed, len(history), len(got))
		}
	}
}

// A mutex has no name, and its page speaks of no key.
func TestPageOfAnObjectWithoutAName(t *testing.T) {
	lock := linearizability.Operation{Kind: linearizability.Put, IfAbsent: true, Value: "held", Outcome: linearizability.OK}
	history := []linearizability.Operation{lock, lock}
	history[0].Call, history[0].Return, history[1].Call, history[1].Return, history[1].Client = 1, 3, 2, 4, 1
	text, _ := writePage(t, history, nil, Options{})
	p := contentOf(t, text)
	for _, fact := range p.Facts {
		if strings.Contains(fact.Value, "key") {
			t.Errorf("%s: %s", fact.Name, fact.Value)
		}
	}
}

func TestPageNamesTheContradiction(t *testing.T) {
	history, annotations := bigHistory(t, 400)
	planted, _ := plantStaleRead(t, history) // a second stale read
	text, r := writePage(t, history, annotations, Options{Title: "a <b> title", Facts: []Fact{{"seed", "7"}}, Commands: []Command{{"again", "go test"}}})
	p := contentOf(t, text)
	if p.Verdict != "not linearizable" || len(p.Failures) == 0 || p.FailedKeys != len(p.Failures) {
		t.Fatalf("%s, %d failures of %d", p.Verdict, len(p.Failures), p.FailedKeys)
	}
	ops := decodePage(t, text)
	named := false
	for _, f := range p.Failures {
		for _, k := range r.Keys {
			if k.Key != p.History.Keys[f.Key] {
				continue
			}
			var core []linearizability.Stamp
			for _, i := range f.Core {
				core = append(core, ops[i].Call)
				named = named || ops[i].Call == planted.Call
			}
			for i, op := range k.Contradiction.Core {
				if core[i] != op.Call {
					t.Errorf("key %s: the core is at %v, want %d at %d", k.Key, core, op.Call, i)
				}
			}
			if f.Sentences[len(f.Sentences)-1].Text != k.Contradiction.Sentence {
				t.Errorf("key %s: %+v", k.Key, f.Sentences)
			}
		}
		if f.Porcupine == nil || !strings.Contains(f.Porcupine.Note, "not linearizable") || !strings.Contains(f.Porcupine.HTML, "<html") {
			t.Errorf("Porcupine's drawing: %+v", f.Porcupine)
		}
		if strings.Contains(f.Porcupine.HTML, fmt.Sprint(int64(math.MaxInt64))) {
			t.Error("Porcupine's drawing shows a return that never happened")
		}
	}
	if !named {
		t.Error("no contradiction contains the planted read")
	}
	if p.Facts[0] != (Fact{"seed", "7"}) || p.Commands[0] != (Command{"again", "go test"}) || !strings.Contains(text, "<title>a &lt;b&gt; title</title>") {
		t.Errorf("%+v, %+v", p.Facts, p.Commands)
	}
}

// loads matches what makes a browser load something.
var loads = regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:|//)|@import|url\(\s*["']?(https?:|//)|fetch\(|XMLHttpRequest|WebSocket`)

func TestPageIsOneFile(t *testing.T) {
	history, annotations := bigHistory(t, 300)
	text, _ := writePage(t, history, annotations, Options{})
	if found := loads.FindString(text); found != "" {
		t.Errorf("the page loads something: %s", found)
	}
	if !strings.Contains(text, "default-src 'none'") {
		t.Error("the page's policy does not forbid loading")
	}
}

// No text in a history can end the script element that contains it.
func TestPageHoldsAnyText(t *testing.T) {
	long := strings.Repeat("ä", 500)
	history := []linearizability.Operation{
		{Client: -3, Key: "</script><script>alert(1)</script>", Kind: linearizability.Put, Value: "<!--", Call: 1, Return: 2, Outcome: linearizability.OK},
		{Client: 1 << 60, Key: "\xff\x00\u2028", Kind: linearizability.Put, Value: long, Call: 3},
	}
	text, _ := writePage(t, history, &linearizability.Annotations{Bands: []linearizability.Band{{Kind: "</script>", Label: "<b>", To: 4}}}, Options{Title: "</title>"})
	if strings.Contains(text, "<script>alert") || strings.Count(text, "</script>") != 2 || strings.Count(text, "</title>") != 1 {
		t.Error("a text escaped its element")
	}
	p := contentOf(t, text)
	if p.History.Keys[1] != `"\xff\x00\u2028"` || p.History.Clients[0] != -3 {
		t.Errorf("%q, %v", p.History.Keys, p.History.Clients)
	}
	if v := p.History.Values[1]; len(v) > 160 || !strings.HasPrefix(v, "ää") || !strings.HasSuffix(v, "(1000 bytes)") {
		t.Errorf("a long value is shown as %q", v)
	}
}

func TestPageOfAnEmptyAndOfATooLongHistory(t *testing.T) {
	text, r := writePage(t, nil, nil, Options{})
	if found := regexp.MustCompile(`"[a-zA-Z]+":null,`).FindString(strings.ReplaceAll(text, `"porcupine":null`, "")); found != "" {
		t.Errorf("the page's script would iterate over %s", found)
	}
	if p := contentOf(t, text); r.Verdict != linearizability.Linearizable || p.History.Count != 0 || len(p.Failures) != 0 {
		t.Errorf("%+v", p)
	}
	history, annotations := bigHistory(t, 2000)
	text, r = writePage(t, history, annotations, Options{MaxOperations: 100})
	p := contentOf(t, text)
	if p.History.Count != 100 || p.Operations != 2000 {
		t.Fatalf("%d operations of %d are on the page", p.History.Count, p.Operations)
	}
	for _, k := range r.Keys {
		if k.Verdict == linearizability.Illegal && len(p.Failures[0].Core) != len(k.Contradiction.Core) {
			t.Errorf("of the contradiction's %d operations %d are on the page", len(k.Contradiction.Core), len(p.Failures[0].Core))
		}
	}
}

// A page of 100,000 operations is a few megabytes.
func TestPageOfAHundredThousandOperations(t *testing.T) {
	history, annotations := bigHistory(t, 100_000)
	r, err := linearizability.Check(history, linearizability.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	began := time.Now()
	if err := WriteHTML(&b, r, history, annotations, Options{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB, written in %v", float64(b.Len())/1e6, time.Since(began).Round(time.Millisecond))
	if b.Len() > 6<<20 {
		t.Errorf("%d bytes", b.Len())
	}
}

var cssColour = regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})`)

// contrast returns the contrast ratio of WCAG 2: text needs at least 4.5, shapes
// need 3.
func contrast(t *testing.T, a, b string) float64 {
	luminance := func(colour string) (sum float64) {
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			v := float64(n) / 255
			if v <= 0.03928 {
				sum += weight * v / 12.92
			} else {
				sum += weight * math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestPageIsReadableInLightAndDark(t *testing.T) {
	css := pageFile("page.css")
	themes := regexp.MustCompile(`(?s):root[^{]*\{(.*?)\}`).FindAllStringSubmatch(css, -1)
	if len(themes) != 3 || themes[1][1] != themes[2][1] {
		t.Fatalf("%d themes: want light, and dark twice, identical", len(themes))
	}
	for n, theme := range themes[:2] {
		colours := map[string]string{}
		for _, c := range cssColour.FindAllStringSubmatch(theme[1], -1) {
			colours[c[1]] = c[2]
		}
		for _, pair := range []struct {
			over, on string
			least    float64
		}{
			{"text", "surface", 4.5}, {"text", "panel", 4.5}, {"text", "ground", 4.5}, {"muted", "surface", 4.5}, {"muted", "panel", 4.5},
			{"muted", "ground", 4.5}, {"mark", "mark-soft", 4.5}, {"mark", "surface", 4.5}, {"good", "good-soft", 4.5}, {"warn", "warn-soft", 4.5},
			{"get", "panel", 4.5}, {"on-primary", "primary-0", 4.5}, {"on-primary", "primary-1", 4.5}, {"surface", "text", 4.5}, {"surface", "muted", 4.5},
			{"get", "surface", 3}, {"put", "surface", 3}, {"delete", "surface", 3}, {"other-0", "surface", 3}, {"other-1", "surface", 3},
			{"fault", "surface", 3}, {"zookeeper", "surface", 3}, {"select", "surface", 3}, {"context", "surface", 3},
		} {
			if c := contrast(t, colours[pair.over], colours[pair.on]); c < pair.least {
				t.Errorf("theme %d: %s on %s has a contrast of %.2f, want %.1f", n, pair.over, pair.on, c, pair.least)
			}
		}
	}
}
