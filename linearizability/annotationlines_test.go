package linearizability

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestAnnotationsAreReadAsTheyWereWritten(t *testing.T) {
	history := load(200, 4, true)
	annotations := &Annotations{
		Spans: []Span{
			{Lane: "n1", State: Up}, {Lane: "n2", State: Down, From: 3, To: 9},
			{Lane: "n2", State: Primary, Partition: "3", Epoch: 7, From: 9}, {Lane: "n3", State: Paused, From: 2},
		},
		Bands:      []Band{{Kind: BandFault, Label: "crash n2", From: 3, To: 9}},
		Partitions: map[string]string{"k1": "3", "k2": "0"},
	}
	annotations.Spans[0].Label = `a "label" with \ and ä`
	annotations.Bands = append(annotations.Bands, Band{Kind: "operator", From: -5})
	annotations.Partitions["\xff\x00"] = "3"
	var events, lines bytes.Buffer
	if err := errors.Join(Write(&events, history), WriteAnnotations(&lines, annotations)); err != nil {
		t.Fatal(err)
	}
	// Annotations may come anywhere.
	rng := rand.New(rand.NewPCG(1, 2))
	var mixed bytes.Buffer
	left := lines.Bytes()
	for line := range bytes.Lines(events.Bytes()) {
		for rng.IntN(2) == 0 && len(left) > 0 {
			end := bytes.IndexByte(left, '\n') + 1
			mixed.Write(left[:end])
			left = left[end:]
		}
		mixed.Write(line)
	}
	mixed.Write(left)
	gotHistory, gotAnnotations, err := readAnnotated(bytes.NewReader(mixed.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(gotHistory, history) || !reflect.DeepEqual(gotAnnotations, annotations) {
		t.Errorf("%d operations and %+v\nbecame %d and %+v", len(history), annotations, len(gotHistory), gotAnnotations)
	}
	if plain, err := Read(&mixed); err != nil || !reflect.DeepEqual(plain, history) {
		t.Errorf("Read: %d operations, %v", len(plain), err)
	}
}

// readAnnotated reads a history and its annotations, which may be empty.
func readAnnotated(r io.Reader) ([]Operation, *Annotations, error) {
	recording, err := ReadRecording(r, ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	if recording.Annotations == nil {
		recording.Annotations = &Annotations{}
	}
	return recording.Operations, recording.Annotations, nil
}

func TestAnnotationsInAnyOrderOfFields(t *testing.T) {
	for _, line := range []string{
		`{"lane":"n,1","from":0,"event":"span","state":"up"}`,
		` { "to" : 5 , "from" : 2 , "kind" : "x" , "event" : "band" } `,
		`{"partition":"event","key":"event","event":"place"}`,
	} {
		if _, s, err := readAnnotated(strings.NewReader(line)); err != nil || len(s.Spans)+len(s.Bands)+len(s.Partitions) != 1 {
			t.Errorf("%s: %+v, %v", line, s, err)
		}
	}
	// A call is not an annotation, whatever its value is.
	call := `{"stamp":1,"value":"\"event\":\"span\"","client":1,"kind":"put","key":"event","event":"call"}`
	if h, s, err := readAnnotated(strings.NewReader(call)); err != nil || len(h) != 1 || len(s.Spans) != 0 {
		t.Errorf("%+v, %+v, %v", h, s, err)
	}
}

func TestBadAnnotationsNameLineAndColumn(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`{"event":"span","lane":"n1","state":"asleep","from":1}`, `line 2, column 37: "state": unknown state "asleep" (want up, down, paused or primary)`},
		{`{"event":"span","lane":"n1","state":"up"}`, `line 2: "from" is missing`},
		{`{"event":"span","lane":"n1","state":"up","from":5,"to":3}`, `line 2, column 56: ends at 3, before its beginning at 5`},
		{`{"event":"span","lane":"n1","state":"up","from":5,"to":0}`, `line 2, column 56: "to" cannot be 0: leave it out if the end is open`},
		{`{"event":"span","lane":"n1","state":"up","from":5,"epoch":3}`, `line 2, column 59: only a primary has an epoch`},
		{`{"event":"span","lane":"n1","state":"up","from":5,"partition":"3"}`, `line 2, column 63: only a primary has a partition`},
		{`{"event":"span","lane":"n1","state":"up","from":"5"}`, `line 2, column 49: "from": malformed JSON: expected a whole number, found '"'`},
		{`{"event":"span","lane":7,"state":"up","from":5}`, `line 2, column 24: "lane": malformed JSON: expected a string, found '7'`},
		{`{"event":"span","lane":"n1","lane":"n1","state":"up","from":5}`, `line 2, column 29: duplicate field "lane"`},
		{`{"event":"band","kind":"fault","from":5,"lane":"n1"}`, `line 2, column 48: "lane" does not belong to a band`},
		{`{"event":"band","kind":"fault","from":5,"colour":"red"}`, `line 2, column 41: unknown field "colour"`},
		{`{"event":"band","kind":"fault","from":5`, `line 2, column 40: malformed JSON: expected '}', but the line ends`},
		{`{"event":"band","kind":"fault","from":5} x`, `line 2, column 42: text after the end of the object`},
		{`{"event":"place","partition":"3"}`, `line 2: a place needs either "key" or "key_base64"`},
		{`{"event":"place","key_base64":"?","partition":"3"}`, `line 2, column 31: "key_base64": invalid base64: illegal base64 data at input byte 0`},
	} {
		text := `{"event":"call","stamp":1,"client":1,"kind":"get","key":"k"}` + "\n" + c.line + "\n"
		for _, read := range []func() error{
			func() error { _, err := Read(strings.NewReader(text)); return err },
			func() error { _, _, err := readAnnotated(strings.NewReader(text)); return err },
		} {
			if err := read(); err == nil || err.Error() != c.want {
				t.Errorf("%s\n got %v\nwant %s", c.line, err, c.want)
			}
		}
	}
	if err := WriteAnnotations(&bytes.Buffer{}, &Annotations{Spans: []Span{{Lane: "n1", From: 1}}}); err == nil || !strings.Contains(err.Error(), "span 0: the state is not set") {
		t.Errorf("writing an invalid span: %v", err)
	}
}

func FuzzReadAnnotations(f *testing.F) {
	f.Add([]byte(`{"event":"span","lane":"n1","state":"primary","partition":"3","epoch":7,"from":1,"to":2,"label":"x"}`))
	f.Add([]byte(`{"kind":"fault","event":"band","from":1}`))
	f.Add([]byte(`{"event":"place","key_base64":"/w==","partition":"3"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, annotations, err := readAnnotated(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteAnnotations(&b, annotations); err != nil {
			t.Fatal(err)
		}
		if _, again, err := readAnnotated(&b); err != nil || !reflect.DeepEqual(again, annotations) {
			t.Errorf("%+v became %+v, %v", annotations, again, err)
		}
	})
}
