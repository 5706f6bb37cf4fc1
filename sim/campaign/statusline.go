package campaign

import (
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// columnsOf returns the width of the terminal that a file stands for, or 0 if the
// file is not a terminal.
func columnsOf(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return 80 // a terminal that does not say
	}
	return int(size.Col)
}

// statusEvery is the time between two status lines where a line cannot be
// overwritten.
const statusEvery = 10 * time.Second

// A statusLine shows the progress of long work: on a terminal in one line that it
// overwrites, elsewhere in a line every ten seconds. It is not safe for concurrent
// use.
type statusLine struct {
	to      io.Writer
	columns func() int // 0: not a terminal
	text    string     // on the terminal now
	said    time.Time
}

// newStatusLine returns a line that is not shown yet. It writes to nowhere if to is
// nil.
func newStatusLine(to io.Writer, columns func() int, now time.Time) *statusLine {
	if to == nil {
		to, columns = io.Discard, func() int { return 0 }
	}
	return &statusLine{to: to, columns: columns, said: now}
}

// show replaces the text.
func (s *statusLine) show(now time.Time, text string) {
	columns := s.columns()
	if columns == 0 {
		if now.Sub(s.said) >= statusEvery {
			s.said = now
			fmt.Fprintln(s.to, text)
		}
		return
	}
	for utf8.RuneCountInString(text) >= columns { // a longer one would break, and stay
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	s.text = text
	s.again()
}

// hide removes the line so that other text can be written in its place.
func (s *statusLine) hide() {
	if s.text != "" {
		fmt.Fprint(s.to, "\r\x1b[K")
	}
}

// again restores the line that hide removed.
func (s *statusLine) again() {
	if s.text != "" {
		fmt.Fprint(s.to, "\r\x1b[K"+s.text)
	}
}

// end removes the line for good.
func (s *statusLine) end() {
	s.hide()
	s.text = ""
}
