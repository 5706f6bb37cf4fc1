package linearizability

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Format is a way to write a history down.
type Format struct {
	Name  string // such as "jsonl"
	About string // what it is, in one line
	// Recognize reports whether a history that begins with these bytes is in this
	// format. The head has at most 64 KiB and may end anywhere.
	Recognize func(head []byte) bool
	// Read reads a history to its end. Every error about what it reads is a
	// *FormatError.
	Read func(in *Source) (*Recording, error)
}

// headBytes is how much of a history a format is recognized by.
const headBytes = 64 << 10

// MaxLineBytes limits one line. A value of 1 MiB fits, even if every byte is escaped.
const MaxLineBytes = 8 << 20

// A FormatError says where and why a history cannot be read.
type FormatError struct {
	Line   int // from 1
	Column int // in bytes, from 1; 0: the line as a whole
	Err    error
}

func (e *FormatError) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

func (e *FormatError) Unwrap() error { return e.Err }

// A Source is the text of a history, for the Read of a Format.
type Source struct {
	*bufio.Reader
	pool *pool
	from *decompressor
	size int64
	read int64
}

func newSource(r io.Reader, o ReadOptions) *Source {
	told := readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		if o.Progress != nil && n > 0 {
			o.Progress(n)
		}
		return n, err
	})
	s := &Source{from: &decompressor{raw: bufio.NewReaderSize(told, headBytes)}, size: o.Size, pool: newPool()}
	s.Reader = bufio.NewReaderSize(readerFunc(s.fill), headBytes)
	return s
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func (s *Source) fill(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.read += int64(n)
	if s.from.compressed {
		s.size = 0 // unknown, but for that of the compressed text
	}
	return n, err
}

// Name returns text as a string. Equal texts share memory; use it for texts that are
// few, such as keys.
func (s *Source) Name(text []byte) string { return s.pool.name(text) }

// Value returns text as a string. Use it for texts that are many, such as values.
func (s *Source) Value(text []byte) string { return s.pool.value(text) }

// EachLine calls read with each line and its number, from 1. The line comes
// without its end and is valid until read returns. EachLine stops at the first
// error. If that is a *FormatError about a last line without an end, it adds
// that the file may have been cut off.
func (s *Source) EachLine(read func(number int, line []byte) error) error {
	var buffer []byte
	for number := 1; ; number++ {
		line, err := readLine(s.Reader, &buffer)
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case errors.Is(err, errLineTooLong):
			return &FormatError{Line: number, Err: err}
		case err != nil && err != io.EOF:
			return fmt.Errorf("reading the history at line %d: %w", number, err)
		}
		if lineErr := read(number, line); lineErr != nil {
			var format *FormatError
			if err == io.EOF && errors.As(lineErr, &format) {
				format.cutOff()
			}
			return lineErr
		}
	}
}

// cutOff says that the last line has no end, so that the file may have been cut off.
func (e *FormatError) cutOff() {
	e.Err = fmt.Errorf("the last line is incomplete (was the file cut off?): %w", e.Err)
}

var errLineTooLong = fmt.Errorf("longer than %d bytes", MaxLineBytes)

// readLine returns the next line without its end. The line is valid until the next call.
// A last line without an end comes with io.EOF.
func readLine(in *bufio.Reader, buffer *[]byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		*buffer = append((*buffer)[:0], line...)
		for err == bufio.ErrBufferFull {
			line, err = in.ReadSlice('\n')
			*buffer = append(*buffer, line...)
			if len(*buffer) > MaxLineBytes {
				return nil, errLineTooLong
			}
		}
		line = *buffer
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// LeastOperationBytes is less than any operation takes in any format. Grow uses it so
// that a wrong Size cannot make it allocate much more memory than the text could need.
const LeastOperationBytes = 16

// Grow makes room for one more operation. Once it can estimate how many bytes an
// operation takes, it makes room for all remaining ones.
func (s *Source) Grow(ops []Operation) []Operation {
	const enoughToKnow = 4096
	if len(ops) < cap(ops) || len(ops) < enoughToKnow || s.read >= s.size {
		return ops
	}
	expected := float64(len(ops)) * float64(s.size) / float64(s.read) * 1.02
	more := min(int64(expected), s.size/LeastOperationBytes) - int64(len(ops))
	return slices.Grow(ops, int(max(more, 1)))
}
