package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// When a bar first shows, and how often it is drawn again.
const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// A progress draws a bar for work that takes long. Work that ends soon has none.
// Its methods may be called from any number of goroutines.
type progress struct {
	mu    sync.Mutex
	to    io.Writer // nil: nobody looks
	what  string
	total int64 // 0: unknown, and no bar
	done  int64
	drawn bool
	due   time.Time // when to draw next
}

func newProgress(to io.Writer, what string, total int64) *progress {
	return &progress{to: to, what: what, total: total, due: time.Now().Add(progressAfter)}
}

// add counts so much more as done.
func (p *progress) add(n int) {
	if p.to == nil || p.total <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(n)
	if now := time.Now(); now.After(p.due) {
		p.due, p.drawn = now.Add(progressEvery), true
		p.draw()
	}
}

func (p *progress) draw() {
	const columns = 30
	share := min(float64(p.done)/float64(p.total), 1)
	full := int(share * columns)
	what := p.what
	if len(what) > 40 {
		what = "…" + what[len(what)-40:]
	}
	fmt.Fprintf(p.to, "\r\x1b[K%s [%s%s] %3.0f %%", what, strings.Repeat("#", full), strings.Repeat(".", columns-full), 100*share)
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// isTerminal: somebody may be looking.
func isTerminal(f *os.File) bool {
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

// columnsOf is how wide the terminal is that a file stands for; 0: it is none.
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

// How often a status is said where it cannot be written over.
const statusEvery = 10 * time.Second

// A statusLine says again and again how far long work is: on a terminal in one
// line, which is written over, elsewhere in a line every ten seconds. It is not
// safe for concurrent use.
type statusLine struct {
	to      io.Writer
	columns func() int // 0: no terminal
	text    string     // on the terminal now
	said    time.Time
}

func newStatusLine(to io.Writer, columns func() int, now time.Time) *statusLine {
	return &statusLine{to: to, columns: columns, said: now}
}

// show says how far it is.
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

// hide takes the line away, for others to write there.
func (s *statusLine) hide() {
	if s.text != "" {
		fmt.Fprint(s.to, "\r\x1b[K")
	}
}

// again puts back what hide took away.
func (s *statusLine) again() {
	if s.text != "" {
		fmt.Fprint(s.to, "\r\x1b[K"+s.text)
	}
}

// end takes the line away for good.
func (s *statusLine) end() {
	s.hide()
	s.text = ""
}
