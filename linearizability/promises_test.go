package linearizability

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// staleRead is a history that is not linearizable: "old" is read after "new" was.
func staleRead() []Operation {
	return []Operation{
		{Client: 1, Key: "k", Kind: Put, Value: "old", Outcome: OK, Call: 1, Return: 2},
		{Client: 1, Key: "k", Kind: Put, Value: "new", Outcome: OK, Call: 3, Return: 4},
		{Client: 2, Key: "k", Kind: Get, Outcome: OK, Call: 5, Return: 6, Answer: Answer{Found: true, HasValue: true, Value: "old"}},
	}
}

func TestCheckPointsIntoTheHistoryAndLeavesItAlone(t *testing.T) {
	history := staleRead()
	before := slices.Clone(history)
	r, err := Check(history, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(history, before) {
		t.Errorf("Check changed the history to %+v", history)
	}
	if r.Verdict != Illegal || r.Keys[0].Contradiction == nil {
		t.Fatalf("verdict %v", r.Verdict)
	}
	for _, op := range r.Keys[0].Contradiction.Core {
		if !slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return op == &history[i] }) {
			t.Errorf("the core holds a copy of %+v", *op)
		}
	}
}

func TestVerdictOnlyHasNoContradiction(t *testing.T) {
	r, err := Check(staleRead(), Options{VerdictOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Illegal || r.Keys[0].Contradiction != nil {
		t.Errorf("verdict %v, contradiction %v", r.Verdict, r.Keys[0].Contradiction)
	}
}

func TestVerdictOfAHistoryIsTheGreatestOfItsKeys(t *testing.T) {
	if !(Linearizable < Undecided && Undecided < Illegal) {
		t.Error("the verdicts are not ordered from good to bad")
	}
	history := append(staleRead(), Operation{Key: "a", Kind: Put, Value: "v", Outcome: OK, Call: 7, Return: 8})
	r, err := Check(history, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Illegal || r.Keys[0].Key != "a" || r.Keys[0].Verdict != Linearizable || r.Keys[1].Verdict != Illegal {
		t.Errorf("%v: %+v", r.Verdict, r.Keys)
	}
}

func TestALostWriteIsOneThatTheFinalReadShouldHaveFound(t *testing.T) {
	put := Operation{Key: "k", Kind: Put, Value: "v", Outcome: OK, Call: 1, Return: 3}
	final := Operation{Key: "k", Kind: Get, Outcome: OK, Call: 4, Return: 6}
	overlapping := final
	overlapping.Call = 2
	deletion := Operation{Key: "k", Kind: Delete, Outcome: Unknown, Call: 5}
	refused := deletion
	refused.Outcome, refused.Return = Refused, 7
	for name, test := range map[string]struct {
		history []Operation
		lost    int
	}{
		"final":            {[]Operation{put, final}, 1},
		"too early":        {[]Operation{put, overlapping}, 0},
		"perhaps deleted":  {[]Operation{put, final, deletion}, 0},
		"not deleted":      {[]Operation{put, final, refused}, 1},
		"without any read": {[]Operation{put}, 0},
	} {
		if lost := LostWrites(test.history); len(lost) != test.lost {
			t.Errorf("%s: %v, want %d", name, lost, test.lost)
		}
	}
}

func TestLinesHaveABound(t *testing.T) {
	read := func(line string) error {
		_, err := ReadRecording(strings.NewReader(line), ReadOptions{Formats: []Format{{Read: func(in *Source) (*Recording, error) {
			return &Recording{}, in.EachLine(func(_ int, got []byte) error {
				if len(got) != len(strings.TrimSpace(line)) {
					return fmt.Errorf("a line of %d bytes", len(got))
				}
				return nil
			})
		}, Recognize: func([]byte) bool { return true }}}})
		return err
	}
	if err := read(strings.Repeat("x", MaxLineBytes-1) + "\n"); err != nil {
		t.Error(err)
	}
	var format *FormatError
	if err := read(strings.Repeat("x", MaxLineBytes+1) + "\n"); !errors.As(err, &format) || format.Line != 1 {
		t.Errorf("a line that is too long: %v", err)
	}
}

func TestFormatsAreAskedInOrder(t *testing.T) {
	format := func(name string, recognizes bool) Format {
		return Format{Name: name,
			Recognize: func(head []byte) bool { return recognizes },
			Read:      func(*Source) (*Recording, error) { return &Recording{Warnings: []string{name}}, nil }}
	}
	for want, formats := range map[string][]Format{
		"second": {format("first", false), format("second", true), format("third", true)},
		"first":  {format("first", false), format("second", false)},
	} {
		r, err := ReadRecording(strings.NewReader("x"), ReadOptions{Formats: formats})
		if err != nil || r.Warnings[0] != want {
			t.Errorf("read by %+v, want %s (%v)", r, want, err)
		}
	}
}

func TestReadingTellsItsProgressAndTheFile(t *testing.T) {
	var text bytes.Buffer
	if err := Write(&text, staleRead()); err != nil {
		t.Fatal(err)
	}
	read := 0
	// A wrong size costs nothing but memory that is allocated in vain.
	for _, size := range []int64{0, 1, int64(text.Len()), 1 << 40} {
		read = 0
		r, err := ReadRecording(bytes.NewReader(text.Bytes()), ReadOptions{Size: size, Progress: func(n int) { read += n }})
		if err != nil || len(r.Operations) != 3 {
			t.Fatalf("size %d: %v, %v", size, r, err)
		}
		if read != text.Len() {
			t.Errorf("size %d: progress of %d bytes, want %d", size, read, text.Len())
		}
	}
	file := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(file, []byte("{\"event\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if _, err := ReadRecordingFile(file, ReadOptions{}); !errors.As(err, &format) || !strings.Contains(err.Error(), "bad.jsonl") {
		t.Errorf("the error is %v", err)
	}
}

func TestTextIsNarrowASCII(t *testing.T) {
	history := staleRead()
	for i := range history {
		history[i].Key = strings.Repeat("é\n", 200)
	}
	r, err := Check(history, Options{})
	if err != nil {
		t.Fatal(err)
	}
	timeline := r.Keys[0].Contradiction.Timeline()
	for line := range strings.Lines(timeline) {
		if len(line) > 101 {
			t.Errorf("a line of %d columns: %q", len(line)-1, line)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(text.String(), func(c rune) bool { return c > '~' }); i >= 0 {
		t.Errorf("not ASCII at byte %d: %q", i, text.String())
	}
}
