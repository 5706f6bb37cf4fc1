package report

import (
	"cmp"
	"dkv/linearizability"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// pageHistory encodes the operations of a page, by call, as columns: one varint
// for each operation, in base64. Texts are stored once, in tables. Exact holds
// the numbers that exceed what a JavaScript number can hold.
type pageHistory struct {
	Count     int               `json:"count"`
	HasTimes  bool              `json:"hasTimes"`
	StampBase string            `json:"stampBase"` // added to every stamp
	TimeBase  string            `json:"timeBase"`  // added to every time
	Kinds     []string          `json:"kinds"`
	Outcomes  []string          `json:"outcomes"`
	Clients   []int             `json:"clients"`
	Keys      []string          `json:"keys"`
	Nodes     []string          `json:"nodes"`
	Values    []string          `json:"values"`
	Columns   map[string]string `json:"columns"`
	Exact     map[string]string `json:"exact"` // by column and operation: "version:17"

	ops       []*linearizability.Operation
	keyNumber map[string]int
	timeBase  time.Duration
}

// number returns the place of an operation on the page.
func (h *pageHistory) number(op *linearizability.Operation) (at int, shown bool) {
	return slices.BinarySearchFunc(h.ops, op.Call, func(o *linearizability.Operation, call linearizability.Stamp) int { return cmp.Compare(o.Call, call) })
}

// maxPageNumber is the greatest integer up to which a float64 is exact.
const maxPageNumber = 1<<53 - 1

// A columnWriter writes numbers by column.
type columnWriter struct {
	columns map[string][]byte
	last    map[string]int64
	exact   map[string]string
	at      int // the operation
}

func (w *columnWriter) put(column string, n uint64) {
	w.columns[column] = binary.AppendUvarint(w.columns[column], min(n, maxPageNumber))
}

// signed uses the zigzag encoding, so that small negative numbers stay short.
func (w *columnWriter) signed(column string, n int64) {
	n = min(max(n, -maxPageNumber/2), maxPageNumber/2)
	w.put(column, uint64(n)<<1^uint64(n>>63))
}

// sparse writes a number that is often 0 and otherwise close to the previous one.
func (w *columnWriter) sparse(column string, n uint64) {
	if n == 0 {
		w.put(column, 0)
		return
	}
	if n > maxPageNumber/4 {
		w.exact[column+":"+strconv.Itoa(w.at)] = strconv.FormatUint(n, 10)
		n = maxPageNumber / 4
	}
	delta := int64(n) - w.last[column]
	w.last[column] = int64(n)
	w.put(column, (uint64(delta)<<1^uint64(delta>>63))+1)
}

// A textTable numbers texts and holds each in a form that can be displayed.
type textTable struct {
	numbers map[string]int
	shown   []string
}

func newTextTable() *textTable { return &textTable{map[string]int{}, []string{}} }

func (t *textTable) number(s string) int {
	n, known := t.numbers[s]
	if !known {
		n = len(t.shown)
		t.numbers[s] = n
		t.shown = append(t.shown, shownText(s))
	}
	return n
}

// shownText returns a text of limited length without control characters.
func shownText(s string) string {
	cut := ""
	if len(s) > maxPageText {
		cut = "… (" + counted(len(s), "byte") + ")"
		end := maxPageText
		for end > maxPageText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	printable := utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
	if !printable {
		s = strconv.Quote(s)
	}
	return s + cut
}

// encodeHistory writes operations, which must be sorted by call, into columns.
func encodeHistory(ops []*linearizability.Operation, annotations *linearizability.Annotations) *pageHistory {
	h := &pageHistory{Count: len(ops), ops: ops, Kinds: kinds(), Outcomes: outcomes(), Columns: map[string]string{}}
	stampBase := h.setBases(annotations)
	clients := make(map[int]int)
	for _, op := range ops {
		clients[op.Client] = 0
	}
	h.Clients = append([]int{}, slices.Sorted(maps.Keys(clients))...)
	for i, c := range h.Clients {
		clients[c] = i
	}
	keys, nodes, values := newTextTable(), newTextTable(), newTextTable()
	w := &columnWriter{columns: map[string][]byte{}, last: map[string]int64{}, exact: map[string]string{}}
	last, lastTime := stampBase, h.timeBase
	for i, op := range ops {
		w.at = i
		w.put("call", uint64(op.Call-last))
		last = op.Call
		w.put("return", uint64(max(0, op.Return-op.Call)))
		if h.HasTimes {
			w.signed("callTime", int64(op.CallTime-lastTime))
			lastTime = op.CallTime
			w.signed("took", int64(op.ReturnTime-op.CallTime))
		}
		w.put("client", uint64(clients[op.Client]))
		w.put("key", uint64(keys.number(op.Key)))
		w.put("node", optional(nodes, op.Node, op.Node != ""))
		w.put("kind", uint64(op.Kind))
		w.put("flags", pageFlags(op))
		w.put("value", optional(values, op.Value, op.Writes()))
		w.put("met", optional(values, op.Answer.Value, op.Answer.HasValue))
		w.sparse("version", uint64(op.Answer.Version))
		w.sparse("index", uint64(op.Answer.Index))
		w.sparse("ifMatch", uint64(op.IfMatch))
		w.put("ifValue", optional(values, op.IfValue, op.HasIfValue))
	}
	for name, column := range w.columns {
		h.Columns[name] = base64.StdEncoding.EncodeToString(column)
	}
	h.Keys, h.Nodes, h.Values, h.Exact = keys.shown, nodes.shown, values.shown, w.exact
	h.keyNumber = keys.numbers
	return h
}

// kinds returns the names of the kinds by number; there is no kind 0.
func kinds() []string {
	names := []string{""}
	for k := linearizability.Get; k <= linearizability.Append; k++ {
		names = append(names, k.String())
	}
	return names
}

// outcomes returns the names of the outcomes by number.
func outcomes() []string {
	var names []string
	for o := linearizability.Unknown; o <= linearizability.Refused; o++ {
		names = append(names, o.String())
	}
	return names
}

// optional returns the number of a text plus 1, or 0 if there is no text.
func optional(t *textTable, s string, there bool) uint64 {
	if !there {
		return 0
	}
	return uint64(t.number(s)) + 1
}

func pageFlags(op *linearizability.Operation) uint64 {
	flags := uint64(op.Outcome)
	for bit, set := range []bool{op.Answer.Found, op.Answer.ConditionFailed, op.IfAbsent, op.Observes(), op.Answer.Unreported} {
		if set {
			flags |= 4 << bit
		}
	}
	return flags
}

// setBases determines whether operations have times. It moves stamps and times that
// are nanoseconds since 1970 to a base of their own, so that a JavaScript number
// can hold them.
func (h *pageHistory) setBases(annotations *linearizability.Annotations) (stampBase linearizability.Stamp) {
	const small = 1 << 50 // in nanoseconds, thirteen days
	first := time.Duration(math.MaxInt64)
	for _, op := range h.ops {
		h.HasTimes = h.HasTimes || op.CallTime != 0 || op.ReturnTime != 0
		first = min(first, op.CallTime)
	}
	if len(h.ops) > 0 && h.ops[len(h.ops)-1].Call > small {
		stampBase = h.ops[0].Call - 1
	}
	if first = firstMoment(annotations, first); h.HasTimes && (first < 0 || first > small) && first != math.MaxInt64 {
		h.timeBase = first
	}
	h.StampBase, h.TimeBase = strconv.FormatInt(int64(stampBase), 10), strconv.FormatInt(int64(h.timeBase), 10)
	return stampBase
}

// encodeAnnotations encodes annotations relative to the bases of a history.
func encodeAnnotations(s *linearizability.Annotations, h *pageHistory) pageAnnotations {
	base := h.timeBase
	if !h.HasTimes {
		stamp, err := strconv.ParseInt(h.StampBase, 10, 64)
		if err != nil {
			panic("report: " + err.Error())
		}
		base = time.Duration(stamp)
	}
	end := lastMoment(s)
	for _, op := range h.ops {
		if h.HasTimes {
			end = max(end, op.CallTime, op.ReturnTime)
		} else {
			end = max(end, time.Duration(op.Call), time.Duration(op.Return))
		}
	}
	spans, bands := closedSpans(s, end), closedBands(s, end)
	p := pageAnnotations{Lanes: laneNames(spans), Spans: [][]any{}, Bands: [][]any{}, Places: map[string]string{}}
	p.Left = max(0, len(spans)-maxPageSpans) + max(0, len(bands)-maxPageBands)
	for _, x := range spans[:min(len(spans), maxPageSpans)] {
		at, _ := slices.BinarySearchFunc(p.Lanes, shownText(x.Lane), compareNames)
		p.Spans = append(p.Spans, []any{at, x.State.String(), shownText(x.Partition), strconv.FormatUint(x.Epoch, 10), x.From - base, x.To - base, shownText(x.Label)})
	}
	for _, x := range bands[:min(len(bands), maxPageBands)] {
		p.Bands = append(p.Bands, []any{shownText(x.Kind), shownText(x.Label), x.From - base, x.To - base})
	}
	for key, n := range h.keyNumber { // the order does not matter: this fills a map
		if partition, known := s.Partitions[key]; known && len(p.Places) < maxPagePlaces {
			p.Places[strconv.Itoa(n)] = shownText(partition)
		}
	}
	return p
}

func laneNames(spans []linearizability.Span) []string {
	names := []string{}
	known := make(map[string]bool)
	for i := range spans {
		if name := shownText(spans[i].Lane); !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareNames)
	return names
}

// compareNames sorts n2 before n10.
func compareNames(a, b string) int {
	stem := func(s string) string { return strings.TrimRight(s, "0123456789") }
	if x, y := stem(a), stem(b); x == y && len(a) != len(b) {
		return len(a) - len(b)
	}
	return cmp.Compare(a, b)
}
