package linearizability

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedMap is a store to record.
type lockedMap struct {
	mu      sync.Mutex
	version Version
	values  map[string]storedValue
}

func (m *lockedMap) put(key, value string) Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	m.values[key] = storedValue{value, m.version}
	return m.version
}

func (m *lockedMap) get(key string) (storedValue, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok
}

func TestRecorderOfConcurrentClients(t *testing.T) {
	var file bytes.Buffer
	r := NewRecorder(RecorderConfig{To: &file})
	m := &lockedMap{values: map[string]storedValue{}}
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("k%d", i%3)
				if i%2 == 0 {
					value := fmt.Sprintf("%d-%d", client, i)
					call := r.Call(Operation{Client: client, Key: key, Kind: Put, Value: value})
					r.Return(call, OK, Answer{Version: m.put(key, value)})
					continue
				}
				call := r.Call(Operation{Client: client, Key: key, Kind: Get})
				v, ok := m.get(key)
				r.Return(call, OK, Answer{Found: ok, HasValue: ok, Value: v.value, Version: v.version})
			}
		})
	}
	wg.Wait()
	history := r.History()
	if result, err := Check(history, Options{}); err != nil || result.Verdict != Linearizable || len(history) != 1600 {
		t.Errorf("%d operations: %+v, %v", len(history), result, err)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	read, err := Read(&file)
	if err != nil || !reflect.DeepEqual(read, history) {
		t.Errorf("the history in the file differs from the one in memory: %v", err)
	}
}

// An operation without an answer may have taken effect, so it stays in the history.
func TestRecorderKeepsWhatIsOpen(t *testing.T) {
	r := NewRecorder(RecorderConfig{})
	stamps := make([]Stamp, 4)
	for i := range stamps {
		stamps[i] = r.Call(Operation{Client: i, Key: "k", Kind: Put, Value: strconv.Itoa(i)})
	}
	r.Return(stamps[1], OK, Answer{Version: 1})
	r.Return(stamps[2], Unknown, Answer{})
	history := r.History()
	if len(history) != len(stamps) {
		t.Fatalf("%d operations, want %d", len(history), len(stamps))
	}
	for i, want := range []Outcome{Unknown, OK, Unknown, Unknown} {
		op := &history[i]
		if op.Value != strconv.Itoa(i) || op.Outcome != want || (op.Return != 0) != (i == 1 || i == 2) {
			t.Errorf("operation %d: %+v, want outcome %v", i, *op, want)
		}
	}
}

func TestRecorderForgets(t *testing.T) {
	var file bytes.Buffer
	now := time.Duration(0)
	r := NewRecorder(RecorderConfig{To: &file, Forget: true, Now: func() time.Duration { now += time.Second; return now }})
	first := r.Call(Operation{Client: 1, Key: "k", Kind: Put, Value: "v", IfMatch: 3, Node: "n2"})
	second := r.Call(Operation{Client: 2, Key: "k", Kind: Delete})
	r.Return(first, Unknown, Answer{})
	r.Call(Operation{Client: 3, Key: "k", Kind: Get})
	r.Return(second, OK, Answer{Found: true, Index: 9})
	if len(r.History()) != 0 {
		t.Error("the recorder kept an operation in memory")
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"event":"call","stamp":1,"client":1,"kind":"put","key":"k","value":"v","if_match":3,"time":1000000000,"node":"n2"}
{"event":"call","stamp":2,"client":2,"kind":"delete","key":"k","time":2000000000}
{"event":"return","stamp":3,"of":1,"outcome":"unknown","time":3000000000}
{"event":"call","stamp":4,"client":3,"kind":"get","key":"k","time":4000000000}
{"event":"return","stamp":5,"of":2,"outcome":"ok","found":true,"index":9,"time":5000000000}
`
	if file.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", file.String(), want)
	}
}

func TestRecorderRefusesMisuse(t *testing.T) {
	tests := []struct {
		want string
		do   func(r *Recorder, open Stamp)
	}{
		{"no operation called at stamp 9 is open", func(r *Recorder, _ Stamp) { r.Return(9, OK, Answer{}) }},
		{"no operation called at stamp 1 is open", func(r *Recorder, open Stamp) { r.Return(open, OK, Answer{}); r.Return(open, OK, Answer{}) }},
		{"a get cannot have a condition", func(r *Recorder, _ Stamp) { r.Call(Operation{Kind: Get, IfAbsent: true}) }},
		{"the answer found no value, but has", func(r *Recorder, open Stamp) { r.Return(open, OK, Answer{Version: 3}) }},
	}
	for _, test := range tests {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, test.want) {
					t.Errorf("panicked with %q, want %q", said, test.want)
				}
			}()
			r := NewRecorder(RecorderConfig{})
			test.do(r, r.Call(Operation{Kind: Get, Key: "k"}))
		}()
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestRecorderReportsAFailedWrite(t *testing.T) {
	r := NewRecorder(RecorderConfig{To: fullDisk{}})
	r.Return(r.Call(Operation{Kind: Get, Key: "k"}), OK, Answer{})
	for range 2 {
		if err := r.Flush(); err == nil || err.Error() != "writing the history: no space left" {
			t.Errorf("error %v", err)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		want    string
		history []Operation
	}{
		{"", []Operation{put(1, 5, 6, "a", 1), put(1, 1, 2, "b", 2)}},
		{"two events have stamp 2", []Operation{put(1, 1, 2, "a", 1), put(1, 2, 3, "b", 2)}},
		{"must be greater than the call stamp", []Operation{put(1, 3, 2, "a", 1)}},
		{"the outcome is ok, but there is no return", []Operation{put(1, 3, 0, "a", 1)}},
		{"the call stamp is 0", []Operation{put(1, 0, 2, "a", 1)}},
		{"invalid kind 0", []Operation{{Call: 1}}},
		{"invalid outcome 3", []Operation{{Kind: Get, Call: 1, Return: 2, Outcome: 3}}},
		{"an operation with outcome unknown cannot have an answer", []Operation{{Kind: Get, Call: 1, Return: 2, Answer: Answer{Found: true}}}},
		{"if_match is greater", []Operation{ifMatch(put(1, 1, 2, "a", 1), 1<<63)}},
		{"the version or the index is greater", []Operation{put(1, 1, 2, "a", 1<<63)}},
		{"reports only its version", []Operation{{Kind: Put, Call: 1, Return: 2, Outcome: OK, Answer: Answer{Found: true}}}},
		{"but HasValue is not", []Operation{{Kind: Get, Call: 1, Return: 2, Outcome: OK, Answer: Answer{Found: true, Value: "a"}}}},
	}
	for _, test := range tests {
		err := Validate(test.history)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v, want %q", err, test.want)
		}
		if _, checked := Check(test.history, Options{}); (checked == nil) != (err == nil) {
			t.Errorf("Check does not validate: %v", checked)
		}
		if err := Write(&bytes.Buffer{}, test.history); (err == nil) != (test.want == "") {
			t.Errorf("Write does not validate: %v", err)
		}
	}
}
