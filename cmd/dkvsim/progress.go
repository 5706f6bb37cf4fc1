package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
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
	to    io.Writer // nil: there is no terminal
	what  string
	total int64 // 0: unknown, and no bar
	done  int64
	steps int64 // of searches, shown if there are any
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

// step counts so many more steps of a search, which shows that the search still
// works although no further key is done.
func (p *progress) step(n int) {
	if p.to == nil || p.total <= 0 {
		return
	}
	p.mu.Lock()
	p.steps += int64(n)
	p.mu.Unlock()
	p.add(0)
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
	if p.steps > 0 {
		fmt.Fprintf(p.to, ", %d million steps", p.steps/1_000_000)
	}
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// isTerminal reports whether a file is a terminal.
func isTerminal(f *os.File) bool {
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}
