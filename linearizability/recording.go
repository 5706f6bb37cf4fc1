package linearizability

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
)

// A Format is a way to write a history down.
type Format uint8

const (
	// AnyFormat: which it is shows in the content.
	AnyFormat Format = iota
	// JSONLines is this package's own; README.md documents it.
	JSONLines
	// JepsenLog is the log of a Jepsen test: the lines of jepsen.util, such as
	// "INFO  jepsen.util - 0 :invoke :cas [3 1]". Lines of other loggers and of
	// the nemesis are passed over.
	JepsenLog
	// JepsenEDN is a Jepsen history: a map for each invocation and completion,
	// such as {:process 0, :type :invoke, :f :append, :key "k", :value "v"}.
	JepsenEDN
)

var formatNames = [...]string{AnyFormat: "auto", JSONLines: "jsonl", JepsenLog: "jepsen-log", JepsenEDN: "jepsen-edn"}

func (f Format) String() string {
	if f <= JepsenEDN {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// ParseFormat is the inverse of String.
func ParseFormat(name string) (Format, error) {
	for f, known := range formatNames {
		if name == known {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("%s is no format: there are auto, jsonl, jepsen-log and jepsen-edn", quoted(name))
}

// recognise tells the format from the beginning of a history.
func recognise(head []byte) Format {
	text := bytes.TrimLeft(head, " \t\r\n,")
	switch {
	case len(text) == 0:
		return JSONLines // an empty history is one in every format
	case text[0] == '{':
		if inner := bytes.TrimLeft(text[1:], " \t\r\n,"); len(inner) > 0 && (inner[0] == ':' || inner[0] == '#' || inner[0] == ';') {
			return JepsenEDN
		}
		return JSONLines
	case bytes.Contains(head, []byte(jepsenLogger)):
		return JepsenLog
	case bytes.IndexByte([]byte("[(#;"), text[0]) >= 0:
		return JepsenEDN
	}
	return JSONLines
}

// ReadOptions say how to read a history. The zero value is fine.
type ReadOptions struct {
	Format Format
	// Size is how many bytes there are to read, if that is known: memory is then
	// laid out once. 0: unknown.
	Size int64
	// Progress, if set, is told how many bytes have been read since the last call.
	Progress func(bytes int)
}

// A Recording is a history as it was read.
type Recording struct {
	Operations []Operation // by call
	Format     Format      // never AnyFormat
	// Model is the one that the format implies: Text for Jepsen's key-value
	// workload (:get, :put and :append, where a key that was never written reads
	// as the empty value), else Register.
	Model Model
	// Scene is what the file's annotations tell, for reports; of the formats
	// only JSONLines has any. nil: there are none.
	Scene *Scene
}

// ReadRecording reads a history. It streams: beside the operations, which it
// holds once, and their texts, it holds one line, or in EDN one element, of at
// most 8 MiB. Every error that is not one of reading r is a *FormatError.
func ReadRecording(r io.Reader, o ReadOptions) (*Recording, error) {
	in := &source{from: r, progress: o.Progress, size: o.Size}
	in.Reader = bufio.NewReaderSize(readerFunc(in.fill), 64<<10)
	format := o.Format
	if format == AnyFormat {
		head, err := in.Peek(64 << 10)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
		format = recognise(head)
	}
	recording := &Recording{Format: format}
	var err error
	switch format {
	case JSONLines:
		scene := &Scene{}
		recording.Operations, err = readJSONLines(in, scene)
		if !scene.empty() {
			recording.Scene = scene
		}
	case JepsenLog:
		recording.Operations, recording.Model, err = readJepsenLog(in)
	case JepsenEDN:
		recording.Operations, recording.Model, err = readJepsenEDN(in)
	default:
		err = fmt.Errorf("%s is no format", format)
	}
	if err != nil {
		return nil, err
	}
	return recording, nil
}

// ReadRecordingFile reads the history in a file. Errors name it.
func ReadRecordingFile(path string, o ReadOptions) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	defer f.Close()
	if stat, err := f.Stat(); err == nil && stat.Mode().IsRegular() {
		o.Size = stat.Size()
	}
	recording, err := ReadRecording(f, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return recording, nil
}

// Read reads a history in any of the formats, as ReadRecording does.
func Read(r io.Reader) ([]Operation, error) {
	recording, err := ReadRecording(r, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return recording.Operations, nil
}

// ReadFile reads the history in a file.
func ReadFile(path string) ([]Operation, error) {
	recording, err := ReadRecordingFile(path, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return recording.Operations, nil
}

// A source is what a history is read from.
type source struct {
	*bufio.Reader
	from     io.Reader
	progress func(bytes int)
	size     int64
	read     int64
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func (s *source) fill(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.read += int64(n)
	if s.progress != nil && n > 0 {
		s.progress(n)
	}
	return n, err
}

// leastOperationBytes is less than any operation takes in any format, so that a
// size that is wrong by far asks for no more memory than what is read could need.
const leastOperationBytes = 24

// grow makes room for one more operation, and, once it is known how many bytes
// an operation takes here, for all that are to come.
func (s *source) grow(ops []Operation) []Operation {
	const enoughToKnow = 4096
	if len(ops) < cap(ops) || len(ops) < enoughToKnow || s.read >= s.size {
		return ops
	}
	expected := float64(len(ops)) * float64(s.size) / float64(s.read) * 1.02
	more := min(int64(expected), s.size/leastOperationBytes) - int64(len(ops))
	return slices.Grow(ops, int(max(more, 1)))
}
