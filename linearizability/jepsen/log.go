package jepsen

import (
	"bytes"
	"dkv/linearizability"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// readLog reads the operations in the log of a Jepsen test, or if bare is set
// lines that hold nothing but the operations.
func readLog(in *linearizability.Source, bare, met bool) (*linearizability.Recording, error) {
	j := newReader(in, met)
	l := logReader{reader: &j, bare: bare, scan: bytes.NewReader(nil)}
	l.edn = ednReader{in: l.scan, texts: in}
	if err := in.EachLine(l.line); err != nil {
		return nil, err
	}
	return j.recording(), nil
}

type logReader struct {
	*reader
	bare bool
	scan *bytes.Reader
	edn  ednReader
	base time.Duration // of the first dated line
}

func (l *logReader) line(number int, line []byte) error {
	if l.bare {
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		return l.operation(&event{line: number}, line, 0)
	}
	at := bytes.Index(line, []byte(logger))
	if at < 0 {
		if ofAnotherLogger(line) {
			return nil
		}
		return &linearizability.FormatError{Line: number, Column: 1, Err: fmt.Errorf("neither a line of %s nor a line of another logger", logger)}
	}
	e := event{line: number}
	if date, dated := timeOf(line); dated {
		if l.base == 0 {
			l.base = date
		}
		e.time = l.clamp(date - l.base)
	}
	at += len(logger)
	rest := bytes.TrimLeft(line[at:], " \t")
	if len(rest) == 0 || rest[0] != '-' && rest[0] != ':' {
		return &linearizability.FormatError{Line: number, Column: at + 1, Err: fmt.Errorf("no operation after %s", logger)}
	}
	return l.operation(&e, line, len(line)-len(rest)+1)
}

// operation reads the operation that begins at an offset of a line.
func (l *logReader) operation(e *event, line []byte, at int) error {
	l.scan.Reset(line[at:])
	l.edn.line, l.edn.column, l.edn.before = e.line, at+1, at+1
	nemesis, err := l.fields(e)
	if err != nil || nemesis {
		return err
	}
	return l.event(e)
}

// ofAnotherLogger reports whether a line is blank, continues another line, or has a level
// and a logger of its own.
func ofAnotherLogger(line []byte) bool {
	if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
		return true
	}
	for _, level := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		if at := bytes.Index(line, []byte(level)); at >= 0 {
			rest := line[at+len(level):]
			return bytes.Contains(rest, []byte(" - ")) || bytes.Contains(rest, []byte(": "))
		}
	}
	return false
}

// fields reads process, type, function and value, and whether an error follows.
func (l *logReader) fields(e *event) (nemesis bool, err error) {
	process, err := l.edn.element(0, true)
	if err != nil {
		return false, err
	}
	if process.kind == ednNone {
		return false, l.edn.next().fail(errors.New("the process is missing"))
	}
	if process.kind == ednKeyword {
		return true, nil // :nemesis, or another process that is not a client
	}
	if e.process, err = processOf(&process); err != nil {
		return false, err
	}
	kind, err := l.word("the type of the event")
	if err != nil {
		return false, err
	}
	f, err := l.word("the function")
	if err != nil {
		return false, err
	}
	e.kind, e.f = kind.text, f.text
	e.at.process, e.at.kind, e.at.f = process.position, kind.position, f.position
	if e.value, err = l.edn.element(0, true); err != nil {
		return false, err
	}
	if e.at.value = e.value.position; e.value.kind == ednNone {
		return false, l.edn.next().fail(errors.New("the value is missing"))
	}
	if e.kind == "invoke" {
		more, err := l.edn.element(0, false)
		if err == nil && more.kind != ednNone {
			err = more.fail(errors.New("text after the end of the operation"))
		}
		return false, err
	}
	// Any text after the value of a completion is the reason of a failure.
	left := make([]byte, l.scan.Len())
	_, _ = l.scan.Read(left) // never fails: the buffer has the length of the rest
	e.failure = len(bytes.TrimSpace(left)) > 0
	return false, nil
}

func (l *logReader) word(what string) (ednElement, error) {
	e, err := l.edn.element(0, true)
	switch {
	case err != nil:
		return e, err
	case e.kind == ednNone:
		return e, l.edn.next().fail(fmt.Errorf("%s is missing", what))
	case e.kind != ednKeyword:
		return e, e.fail(fmt.Errorf("%s must be a keyword, such as :read", what))
	}
	return e, nil
}

// processOf returns the number of a process.
func processOf(e *ednElement) (process int, err error) {
	n, err := strconv.Atoi(e.text)
	if err != nil || !e.number || n < 0 {
		return 0, e.fail(errors.New("a process must be a whole number or a keyword such as :nemesis"))
	}
	return n, nil
}
