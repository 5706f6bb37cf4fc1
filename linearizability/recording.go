package linearizability

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// ReadOptions configure how to read a history. The zero value is valid.
type ReadOptions struct {
	// Formats are the formats that the history may be in. The first one that
	// recognizes it reads it; if none does, the first of all says what is wrong.
	// None means JSONLines.
	Formats []Format
	// Size is the number of bytes to read, if known, so that memory is allocated once.
	// 0: unknown.
	Size int64
	// Progress, if set, is called with the number of bytes read since the last call.
	Progress func(bytes int)
}

// A Recording is a history that was read.
type Recording struct {
	Operations []Operation // sorted by call
	Format     string      // the name of its format
	// Model is the model that the format implies: Text for the key-value workload of
	// Jepsen (:get, :put and :append, where a key that was never written reads as the
	// empty value), otherwise Register.
	Model Model
	// Annotations holds the annotations in the file, for reports. nil: there are none.
	// Of the formats only JSONLines has annotations.
	Annotations *Annotations
	// Inferred lists the operations, by their place in Operations, whose answer the
	// history does not state: the reader took a failed :cas of Jepsen to have met
	// another value. See jepsen.CASFail.
	Inferred []int
	// Warnings says, in a sentence each, what the reader changed or left out.
	Warnings []string
}

// ReadRecording reads a history, which may be compressed with gzip or Zstandard. It
// streams: besides the operations and their texts it holds one line, or in EDN one
// element, of at most 8 MiB. Every error other than a failure to read r, or to unpack
// what it holds, is a *FormatError.
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

// recognized returns the format of the history.
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

// ReadRecordingFile reads the history in a file. Its errors name the file.
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
