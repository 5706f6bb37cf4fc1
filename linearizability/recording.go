package linearizability

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// ReadOptions say how to read a history. The zero value is fine.
type ReadOptions struct {
	// Formats are the formats that the history may be in. The first one that
	// recognizes it reads it; if none does, the first of all says what is wrong.
	// None means JSONLines.
	Formats []Format
	// Size is how many bytes there are to read, if that is known: memory is then
	// laid out once. 0: unknown.
	Size int64
	// Progress, if set, is told how many bytes have been read since the last call.
	Progress func(bytes int)
}

// A Recording is a history as it was read.
type Recording struct {
	Operations []Operation // by call
	Format     string      // the name of its format
	// Model is the one that the format implies: Text for Jepsen's key-value
	// workload (:get, :put and :append, where a key that was never written reads
	// as the empty value), else Register.
	Model Model
	// Scene is what the file's annotations tell, for reports; of the formats
	// only JSONLines has any. nil: there are none.
	Annotations *Annotations
}

// ReadRecording reads a history. It streams: beside the operations, which it
// holds once, and their texts, it holds one line, or in EDN one element, of at
// most 8 MiB. Every error that is not one of reading r is a *FormatError.
func ReadRecording(r io.Reader, o ReadOptions) (*Recording, error) {
	in := newSource(r, o)
	format, err := recognized(in.Reader, o.Formats)
	if err != nil {
		return nil, err
	}
	recording, err := format.Read(in)
	if err != nil {
		return nil, err
	}
	recording.Format = format.Name
	return recording, nil
}

// recognized returns the format that the history is in.
func recognized(in *bufio.Reader, formats []Format) (Format, error) {
	switch len(formats) {
	case 0:
		return JSONLines, nil
	case 1:
		return formats[0], nil
	}
	head, err := in.Peek(headBytes)
	if err != nil && err != io.EOF {
		return Format{}, fmt.Errorf("reading the history: %w", err)
	}
	for _, f := range formats {
		if f.Recognize(head) {
			return f, nil
		}
	}
	return formats[0], nil
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

// Read reads a history in the format JSONLines.
func Read(r io.Reader) ([]Operation, error) {
	recording, err := ReadRecording(r, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return recording.Operations, nil
}

// ReadFile reads a file that holds a history in the format JSONLines.
func ReadFile(path string) ([]Operation, error) {
	recording, err := ReadRecordingFile(path, ReadOptions{})
	if err != nil {
		return nil, err
	}
	return recording.Operations, nil
}
