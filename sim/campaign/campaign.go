package campaign

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"dkv/sim"
	"dkv/sim/schedule"
)

// campaign is one campaign while it runs.
type campaign struct {
	Options

	out      io.Writer // of lines and tables
	simulate func(seed uint64) (*sim.Result, error)
	status   *statusLine
	begun    time.Time
	until    time.Time // zero: no end

	mu         sync.Mutex
	doc        Document    // except for what follows from sum
	awaited    []sim.Class // at which the campaign stops
	sum        *sim.Campaign
	seedsLeft  *seedSet
	described  int
	running    int
	stopping   bool // no further seed begins
	unsaved    bool // the state file lacks runs
	firstError error
}

// Run runs a campaign and prints what it found. The error is a Status, unless the
// options are wrong or something other than a run failed.
func Run(o Options) error { return (&campaign{Options: o}).run() }

// maxDescribed bounds the failures that are described in full.
const maxDescribed = 5

func (c *campaign) run() error {
	if err := c.prepare(); err != nil {
		return err
	}
	defer c.listen()()
	tick := c.watch()
	var done sync.WaitGroup
	for range c.Jobs {
		done.Go(c.work)
	}
	done.Wait()
	tick()
	c.status.end()
	return c.conclude()
}

// prepare does everything that can be refused before a seed runs.
func (c *campaign) prepare() error {
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
	c.out = c.Stdout
	if c.JSON == "-" {
		c.out = c.Stderr
	}
	c.sum = sim.NewCampaign(c.Profile)
	if err := c.plan(); err != nil {
		return err
	}
	if c.simulate == nil {
		c.simulate = c.runSeed
	}
	c.begun = time.Now()
	if c.Terminal != nil {
		c.status = newStatusLine(c.Terminal, func() int { return columnsOf(c.Terminal) }, c.begun)
	} else {
		c.status = newStatusLine(nil, nil, c.begun)
	}
	if c.State != "" || c.JSON != "" {
		var err error
		if c.doc.Build, err = thisBuild(); err != nil {
			return err
		}
	}
	if c.State != "" {
		if c.StateEvery <= 0 {
			return fmt.Errorf("--state-every %v: must be above 0", c.StateEvery)
		}
		if err := c.resume(); err != nil {
			return err
		}
		c.unsaved = true
		if err := c.save(); err != nil {
			return err // now rather than after hours
		}
	}
	if c.Budget > 0 {
		c.until = c.begun.Add(c.Budget - c.doc.Wall)
	}
	if !c.Deadline.IsZero() && (c.until.IsZero() || c.Deadline.Before(c.until)) {
		c.until = c.Deadline
	}
	return nil
}

// plan turns the options into the seeds to run.
func (c *campaign) plan() error {
	p, shard, err := c.Options.Plan()
	if err != nil {
		return err
	}
	if c.awaited, err = sim.ParseClasses(c.StopAt); err != nil {
		return err
	}
	c.doc = Document{Version: documentVersion, Kind: documentKind, Flags: c.Flags, Plan: p, Shards: []uint64{shard}}
	c.seedsLeft = newSeedSet(Span{p.From + shard - 1, p.To, p.Shards})
	return nil
}

// runSeed runs one seed, or runs it twice and compares.
func (c *campaign) runSeed(seed uint64) (*sim.Result, error) {
	s, err := sim.DrawOn(seed, c.Profile, schedule.Store(c.doc.Plan.Store))
	if err != nil {
		return nil, err
	}
	if c.Twice {
		return sim.RunTwice(s)
	}
	return sim.Run(s, sim.RunOptions{})
}

// listen lets a signal stop the campaign, until the function that it returns is
// called. After the first signal, signals have their usual effect again.
func (c *campaign) listen() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			c.mu.Lock()
			c.say("%v: stopping after the %d running seeds; another signal stops at once", s, c.running)
			c.mu.Unlock()
			c.interrupt()
		case <-over:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
	}
}

// interrupt lets no further seed begin.
func (c *campaign) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
}

// watch shows the progress and writes the state file, until the function that it
// returns is called.
func (c *campaign) watch() (stop func()) {
	over := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		show, save := time.NewTicker(500*time.Millisecond), time.NewTicker(max(c.StateEvery, time.Millisecond))
		defer show.Stop()
		defer save.Stop()
		for {
			select {
			case now := <-show.C:
				c.mu.Lock()
				c.status.show(now, c.progress(now))
				c.mu.Unlock()
			case <-save.C:
				if err := c.save(); err != nil {
					c.mu.Lock()
					c.say("%v", err)
					c.mu.Unlock()
				}
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		ended.Wait()
	}
}

// say prints a message beside the results.
func (c *campaign) say(format string, args ...any) {
	c.status.hide()
	fmt.Fprintf(c.Stderr, "dkvsim: "+format+"\n", args...)
	c.status.again()
}

func (c *campaign) work() {
	for {
		seed, ok := c.take()
		if !ok {
			return
		}
		begun := time.Now()
		r, err := c.simulate(seed)
		if err != nil {
			c.fail(fmt.Errorf("seed %d: %w", seed, err))
			return
		}
		c.add(r, time.Since(begun))
	}
}

func (c *campaign) take() (seed uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping || !c.left(time.Now()) {
		return 0, false
	}
	c.running++
	return c.seedsLeft.take(), true
}

// left reports whether there is a further seed to begin, and time for it.
func (c *campaign) left(now time.Time) bool {
	return c.seedsLeft.more() && (c.until.IsZero() || now.Before(c.until))
}

// fail ends the campaign because of an error that is not the failure of a run.
func (c *campaign) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.stopping, c.firstError = true, errors.Join(c.firstError, err)
}

func (c *campaign) add(r *sim.Result, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.sum.Add(r, wall)
	c.seedsLeft.done(r.Schedule.Setup.Seed)
	c.unsaved = true
	if c.One {
		c.doc.Run = singleRun(r)
	}
	if len(c.awaited) > 0 {
		c.stopHere(r)
		return
	}
	if c.Quiet && len(r.Classes) == 0 {
		c.keepTraces(r)
		return
	}
	c.status.hide()
	defer c.status.again()
	fmt.Fprintln(c.out, r.Line(wall))
	if len(r.Classes) == 0 {
		c.keepTraces(r)
		return
	}
	var files sim.Report
	if c.described < maxDescribed {
		c.described++
		c.Report, files = describe(c.Options, c.out, r)
	}
	c.doc.keep(failureOf(&c.doc.Plan, r, files.Dir))
	if c.One {
		c.doc.Run.Files = files.Dir
	}
}

// stopHere ends the campaign at a run in which an awaited class fired. Of
// several at once the lowest seed counts, however many run at once.
func (c *campaign) stopHere(r *sim.Result) {
	if !slices.ContainsFunc(r.Classes, func(class sim.Class) bool { return slices.Contains(c.awaited, class) }) {
		return
	}
	c.stopping = true
	if at := c.doc.StoppedAt; at == nil || r.Schedule.Setup.Seed < at.Seed {
		f := failureOf(&c.doc.Plan, r, "")
		c.doc.StoppedAt = &f
	}
}

// progress returns a line on how far the campaign has come.
func (c *campaign) progress(now time.Time) string {
	runs, failed := c.sum.Runs()
	wall := c.doc.Wall + now.Sub(c.begun)
	faults, ofFaults, probes, ofProbes := c.sum.Reached()
	text := fmt.Sprintf("%v: %d seeds, %.1f/s, %.0f events/s a core, %d failed%s, faults %d/%d, probes %d/%d",
		rounded(wall), runs, float64(runs)/max(wall.Seconds(), 1e-3), c.sum.Rate(), failed, c.sum.Failures(), faults, ofFaults, probes, ofProbes)
	switch {
	case c.stopping:
		return text + fmt.Sprintf(", stopping: %d running", c.running)
	case !c.until.IsZero():
		return text + fmt.Sprintf(", %v left", rounded(max(0, c.until.Sub(now))))
	case c.seedsLeft.more():
		return text + fmt.Sprintf(", %d seeds to begin", Span{c.seedsLeft.next, c.seedsLeft.all.To, c.doc.Plan.Shards}.count())
	}
	return text
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// document returns the results so far.
func (c *campaign) document() *Document {
	d := c.doc
	d.Wall += time.Since(c.begun)
	d.Ran = c.seedsLeft.spans()
	d.Report = c.Report
	var otherwise error
	left := c.running > 0 || c.left(time.Now())
	switch {
	case c.firstError != nil:
		otherwise = Mistaken
	case left && d.StoppedAt == nil:
		otherwise = Unfinished
	}
	d.Complete = c.firstError == nil && !left
	d.Whole = d.Complete && d.Plan.Shards == 1
	d.conclude(c.sum, otherwise)
	return &d
}

// save writes the state file, if there is one and it lacks something.
func (c *campaign) save() error {
	c.mu.Lock()
	if c.State == "" || !c.unsaved {
		c.mu.Unlock()
		return nil
	}
	c.unsaved = false
	d := c.document()
	c.mu.Unlock()
	err := writeState(c.State, d)
	if err != nil {
		c.mu.Lock()
		c.unsaved = true
		c.mu.Unlock()
	}
	return err
}

// conclude writes and prints the results.
func (c *campaign) conclude() error {
	c.unsaved = true // at least the time has changed
	err := errors.Join(c.firstError, c.save())
	d := c.document()
	if runs, _ := c.sum.Runs(); len(c.awaited) == 0 && (runs > 1 || c.Tables || !d.Complete) {
		d.print(c.out, c.sum, fmt.Sprintf(", %d jobs", c.Jobs))
	}
	switch {
	case d.StoppedAt != nil:
		at := d.StoppedAt
		fmt.Fprintf(c.out, "stopped-at seed=%d runs=%d class=%s first=%s what=%q\n", at.Seed, d.Tally.Runs, joined(at.Classes), at.First, at.What)
	case len(c.awaited) > 0 && d.Complete:
		fmt.Fprintf(c.out, "not-stopped runs=%d class=%s\n", d.Tally.Runs, joined(c.sum.Fired()))
	case !d.Complete && c.State != "":
		fmt.Fprintf(c.out, "stopped early: the same command resumes from %s\n", c.State)
	case !d.Complete:
		fmt.Fprintln(c.out, "stopped early")
	case c.seedsLeft.more() && c.until.Equal(c.Deadline):
		fmt.Fprintf(c.out, "out of time before seed %d; go test -timeout=0 has no limit\n", c.seedsLeft.next)
	case !d.Whole:
		fmt.Fprintf(c.out, "shard %d of %d: coverage is judged by dkvsim merge, over all shards\n", d.Shards[0], d.Plan.Shards)
	}
	if c.JSON != "" {
		err = errors.Join(err, d.write(c.JSON, c.Stdout))
	}
	if err == nil || c.firstError == nil && d.Exit.Status >= int(FirstClass) {
		if err != nil {
			fmt.Fprintln(c.Stderr, "dkvsim:", err)
		}
		return d.ended()
	}
	return err
}
