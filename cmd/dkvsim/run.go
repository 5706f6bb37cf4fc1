package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"dkv/sim"
	"dkv/sim/schedule"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// campaign is one run command.
type campaign struct {
	seed       uint64
	seeds      string
	budget     time.Duration
	jobs       int
	shard      string
	shardZero  string
	profile    string
	store      string
	report     string
	state      string
	stateEvery time.Duration
	json       string
	stopAt     string
	quiet      bool

	stdout   io.Writer // of lines and tables, or of the results as JSON
	out      io.Writer // of lines and tables
	simulate func(seed uint64) (*sim.Result, error)
	status   *statusLine
	begun    time.Time
	until    time.Time // zero: no end

	mu         sync.Mutex
	doc        document    // all but what follows from sum
	awaited    []sim.Class // at which the campaign stops
	sum        *sim.Campaign
	seedsLeft  *seedSet
	described  int
	running    int
	stopping   bool // nothing new begins
	unsaved    bool // the state file lacks runs
	firstError error
}

// maxDescribed bounds the failures that are described in full.
const maxDescribed = 5

func runCommand() *cobra.Command {
	c := &campaign{stdout: os.Stdout}
	cmd := &cobra.Command{
		Use:   "run (--seed N | --seeds N|A-B | --budget D)",
		Short: "Run seeds, and print one line each and the campaign's tables",
		Long: `run runs seeds and adds up what they showed.

Going on: with --state FILE a campaign that was stopped goes on with the seeds it
had not done, and its tables and results are those of a campaign that ran through
(but for wall time). The file is replaced as a whole every --state-every and at the
end. --budget counts the time of all starts. SIGINT or SIGTERM ends the campaign
after the seeds that are running, with tables and status 4; a second one ends it at
once. A crash of the machine loses what came after the last writing, and no seed is
counted twice. One process at a time may use a state file. The file of another
build, profile, store, range of seeds or shard is refused.

Shards: --shard I/N runs every N-th seed, beginning with the I-th. That a fault
never took effect or a probe was never hit is judged over the whole: a shard
of several never fails by it, and dkvsim merge judges all of them together, from
the results that they wrote with --json.

Results: --json writes one document, also when the campaign is stopped by a signal.
"go doc -u ./cmd/dkvsim document" says what is in it, and of what the version is.

Exit status; of several classes the worst, which is the first:
` + statusHelp(),
		Example: `  dkvsim run --seed 42
  dkvsim run --seeds 3000
  dkvsim run --budget 10m --profile moves --jobs 4
  dkvsim run --seeds 1000 --profile disk --store pebble-raw
  dkvsim run --budget 8h --quiet --state campaign.state
  dkvsim run --seeds 1-100000 --shard 3/8 --quiet --state 3.state --json 3.json
  dkvsim merge 1.json 2.json 3.json 4.json 5.json 6.json 7.json 8.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.doc.Flags = make(map[string]string)
			cmd.Flags().Visit(func(f *pflag.Flag) { c.doc.Flags[f.Name] = f.Value.String() })
			return c.run(cmd.Flags().Changed("seed"))
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&c.seed, "seed", 0, "run this seed alone")
	f.StringVar(&c.seeds, "seeds", "", "run seeds 1 to N, or A-B")
	f.DurationVar(&c.budget, "budget", 0, "run seeds, from 1 or from the first of --seeds on, for this long")
	f.IntVar(&c.jobs, "jobs", runtime.GOMAXPROCS(0), "how many seeds to run at once")
	f.StringVar(&c.shard, "shard", "1/1", "run only every n-th seed: I/N, with I from 1 to N")
	f.StringVar(&c.shardZero, "shard-from-zero", "", "the same with I from 0 to N-1, as batch systems count")
	f.StringVar(&c.profile, "profile", sim.Profiles()[0], "what seeds may draw: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&c.store, "store", storeNames()[0], "what holds the contents of disks: "+strings.Join(storeNames(), ", "))
	f.StringVar(&c.report, "report", "", "write the files of failed runs below this directory (default: a new temporary one)")
	f.StringVar(&c.state, "state", "", "keep the campaign's state in this file, and go on from what it has")
	f.DurationVar(&c.stateEvery, "state-every", 15*time.Second, "how often to write --state")
	f.StringVar(&c.json, "json", "", "write the results to this file as JSON (-: to the standard output, and all else to the standard error)")
	f.StringVar(&c.stopAt, "stop-at", "", "stop at the first seed where one of these `classes` fires, such as D,L, and print nothing else")
	f.BoolVar(&c.quiet, "quiet", false, "print only failures, progress and the tables")
	cmd.MarkFlagsMutuallyExclusive("shard", "shard-from-zero")
	return cmd
}

func (c *campaign) run(one bool) error {
	if err := c.prepare(one); err != nil {
		return err
	}
	defer c.listen()()
	tick := c.watch()
	var done sync.WaitGroup
	for range c.jobs {
		done.Go(c.work)
	}
	done.Wait()
	tick()
	c.status.end()
	return c.conclude()
}

// prepare does all that can be refused before a seed runs.
func (c *campaign) prepare(one bool) error {
	c.out = c.stdout
	if c.json == "-" {
		c.out = os.Stderr
	}
	c.sum = sim.NewCampaign(c.profile)
	if err := c.plan(one); err != nil {
		return err
	}
	if c.simulate == nil {
		c.simulate = func(seed uint64) (*sim.Result, error) {
			s, err := sim.DrawOn(seed, c.profile, schedule.Store(c.doc.Plan.Store))
			if err != nil {
				return nil, err
			}
			return sim.Run(s, sim.RunOptions{})
		}
	}
	c.begun = time.Now()
	c.status = newStatusLine(os.Stderr, func() int { return columnsOf(os.Stderr) }, c.begun)
	if c.state != "" || c.json != "" {
		var err error
		if c.doc.Build, err = thisBuild(); err != nil {
			return err
		}
	}
	if c.state != "" {
		if c.stateEvery <= 0 {
			return fmt.Errorf("--state-every %v: must be above 0", c.stateEvery)
		}
		if err := c.resume(); err != nil {
			return err
		}
		c.unsaved = true
		if err := c.save(); err != nil {
			return err // now rather than after hours
		}
	}
	if c.budget > 0 {
		c.until = c.begun.Add(c.budget - c.doc.Wall)
	}
	return nil
}

// plan turns the flags into a range of seeds.
func (c *campaign) plan(one bool) error {
	p := plan{Profile: c.profile, Store: cmp.Or(c.store, storeNames()[0]), From: 1, To: 1<<63 - 1}
	if _, err := schedule.ParseStore(p.Store); err != nil {
		return err
	}
	if _, err := sim.Draw(0, p.Profile); err != nil {
		return err
	}
	if c.jobs < 1 {
		return fmt.Errorf("--jobs %d: must be at least 1", c.jobs)
	}
	var err error
	if c.awaited, err = sim.ParseClasses(c.stopAt); err != nil {
		return fmt.Errorf("--stop-at: %w", err)
	}
	switch {
	case len(c.awaited) > 0 && c.state != "":
		return errors.New("--stop-at keeps no state: leave out --state")
	case one && (c.seeds != "" || c.budget > 0):
		return errors.New("--seed runs one seed: leave out --seeds and --budget")
	case one:
		p.From, p.To = c.seed, c.seed
	case c.seeds != "":
		r, err := sim.ParseSeeds(c.seeds)
		if err != nil {
			return err
		}
		p.From = r.From
		if c.budget == 0 || strings.Contains(c.seeds, "-") {
			p.To = r.To
		}
	case c.budget == 0:
		return errors.New("say which seeds: --seed, --seeds or --budget")
	}
	shard, err := c.planShard(&p)
	if err != nil {
		return err
	}
	c.doc = document{Version: documentVersion, Kind: documentKind, Flags: c.doc.Flags, Plan: p, Shards: []uint64{shard}}
	c.seedsLeft = newSeedSet(span{p.From + shard - 1, p.To, p.Shards})
	return nil
}

// planShard reads which shard this is, from 1 on, of how many.
func (c *campaign) planShard(p *plan) (shard uint64, err error) {
	flag, text, first := "--shard", cmp.Or(c.shard, "1/1"), uint64(1)
	if c.shardZero != "" {
		flag, text, first = "--shard-from-zero", c.shardZero, 0
	}
	i, n, found := strings.Cut(text, "/")
	index, err := strconv.ParseUint(i, 10, 32)
	count, err2 := strconv.ParseUint(n, 10, 32)
	if !found || err != nil || err2 != nil || index < first || index-first >= count {
		return 0, fmt.Errorf("%s %q: want I/N, with I from %d to N%s", flag, text, first, map[uint64]string{0: "-1"}[first])
	}
	p.Shards = count
	return index - first + 1, nil
}

// listen has signals stop the campaign, until the function it returns is called.
// After the first one they have their ordinary effect again.
func (c *campaign) listen() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			c.mu.Lock()
			c.say("%v: ending after the %d seeds that are running; once more ends at once", s, c.running)
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

// watch shows the progress and writes the state, until the function it returns
// is called.
func (c *campaign) watch() (stop func()) {
	over := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		show, save := time.NewTicker(500*time.Millisecond), time.NewTicker(max(c.stateEvery, time.Millisecond))
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

// say writes a sentence for who looks on.
func (c *campaign) say(format string, args ...any) {
	c.status.hide()
	fmt.Fprintf(os.Stderr, "dkvsim: "+format+"\n", args...)
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
			c.fail(err)
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

// left reports whether a seed is left to begin, and time for it.
func (c *campaign) left(now time.Time) bool {
	return c.seedsLeft.more() && (c.until.IsZero() || now.Before(c.until))
}

// fail ends the campaign because of what is no failure of a run.
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
	if len(c.awaited) > 0 {
		c.stopHere(r)
		return
	}
	if c.quiet && len(r.Classes) == 0 {
		return
	}
	c.status.hide()
	defer c.status.again()
	fmt.Fprintln(c.out, r.Line(wall))
	if len(r.Classes) == 0 {
		return
	}
	var files sim.Report
	if c.described < maxDescribed {
		c.described++
		c.report, files = describeTo(c.out, r, c.profile, c.report)
	}
	c.doc.keep(c.doc.Plan.failure(r, files.Dir))
}

// stopHere ends the campaign at a run in which an awaited class fired. Of
// several at once the lowest seed counts, however many run at once.
func (c *campaign) stopHere(r *sim.Result) {
	if !slices.ContainsFunc(r.Classes, func(class sim.Class) bool { return slices.Contains(c.awaited, class) }) {
		return
	}
	c.stopping = true
	if at := c.doc.StoppedAt; at == nil || r.Schedule.Setup.Seed < at.Seed {
		f := c.doc.Plan.failure(r, "")
		c.doc.StoppedAt = &f
	}
}

// progress says how far the campaign is.
func (c *campaign) progress(now time.Time) string {
	runs, failed := c.sum.Runs()
	wall := c.doc.Wall + now.Sub(c.begun)
	faults, ofFaults, probes, ofProbes := c.sum.Reached()
	text := fmt.Sprintf("%v: %d seeds, %.1f/s, %.0f events/s a core, %d failed%s, faults %d/%d, probes %d/%d",
		rounded(wall), runs, float64(runs)/max(wall.Seconds(), 1e-3), c.sum.Rate(), failed, c.sum.Failures(), faults, ofFaults, probes, ofProbes)
	switch {
	case c.stopping:
		return text + fmt.Sprintf(", ending: %d running", c.running)
	case !c.until.IsZero():
		return text + fmt.Sprintf(", %v left", rounded(max(0, c.until.Sub(now))))
	case c.seedsLeft.more():
		return text + fmt.Sprintf(", %d seeds to begin", span{c.seedsLeft.next, c.seedsLeft.all.To, c.doc.Plan.Shards}.count())
	}
	return text
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// document is what stands now.
func (c *campaign) document() *document {
	d := c.doc
	d.Wall += time.Since(c.begun)
	d.Ran = c.seedsLeft.spans()
	d.Report = c.report
	var otherwise error
	left := c.running > 0 || c.left(time.Now())
	switch {
	case c.firstError != nil:
		otherwise = mistaken
	case left && d.StoppedAt == nil:
		otherwise = unfinished
	}
	d.Complete = c.firstError == nil && !left
	d.Whole = d.Complete && d.Plan.Shards == 1
	d.conclude(c.sum, otherwise)
	return &d
}

// save writes the state, if it is wanted and not there yet.
func (c *campaign) save() error {
	c.mu.Lock()
	if c.state == "" || !c.unsaved {
		c.mu.Unlock()
		return nil
	}
	c.unsaved = false
	d := c.document()
	c.mu.Unlock()
	err := writeState(c.state, d)
	if err != nil {
		c.mu.Lock()
		c.unsaved = true
		c.mu.Unlock()
	}
	return err
}

// conclude writes and prints what the campaign gave.
func (c *campaign) conclude() error {
	c.unsaved = true // at least the time
	err := errors.Join(c.firstError, c.save())
	d := c.document()
	if runs, _ := c.sum.Runs(); len(c.awaited) == 0 && (runs > 1 || !d.Complete) {
		d.print(c.out, c.sum, fmt.Sprintf(", %d jobs", c.jobs))
	}
	switch {
	case d.StoppedAt != nil:
		fmt.Fprintf(c.out, "stopped-at %s first=%s\n", d.StoppedAt.Line(), d.StoppedAt.First)
	case len(c.awaited) > 0 && d.Complete:
		fmt.Fprintf(c.out, "not-stopped runs=%d%s\n", d.Tally.Runs, c.sum.Failures())
	case !d.Complete && c.state != "":
		fmt.Fprintf(c.out, "stopped before its end: the same command goes on from %s\n", c.state)
	case !d.Complete:
		fmt.Fprintln(c.out, "stopped before its end")
	case !d.Whole:
		fmt.Fprintf(c.out, "shard %d of %d: zeros are judged by dkvsim merge, over all\n", d.Shards[0], d.Plan.Shards)
	}
	if c.json != "" {
		err = errors.Join(err, d.write(c.json, c.stdout))
	}
	if err == nil || c.firstError == nil && d.Exit.Status >= int(firstClass) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "dkvsim:", err)
		}
		return d.ended()
	}
	return err
}

// describe writes a failed run's files below the directory, or a new one, and
// says all there is to say; it returns the directory.
func describe(r *sim.Result, profile, dir string) string {
	dir, _ = describeTo(os.Stdout, r, profile, dir)
	return dir
}

// describeTo is describe for another reader. It also returns where the files are.
func describeTo(out io.Writer, r *sim.Result, profile, dir string) (string, sim.Report) {
	if dir == "" {
		made, err := os.MkdirTemp("", "dkv-sim-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "dkvsim:", err)
			return "", sim.Report{}
		}
		dir = made
	}
	report, err := sim.WriteReport(dir, r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dkvsim:", err)
	}
	fmt.Fprint(out, sim.Failure(r, profile, report))
	return dir, report
}

func storeNames() []string {
	var names []string
	for _, s := range schedule.Stores() {
		names = append(names, string(s))
	}
	return names
}

func storeUsage() string {
	return "what holds the contents of disks: " + strings.Join(storeNames(), ", ") + " (default: what the schedule says)"
}

func useStore(s *schedule.Schedule, name string) error {
	store, err := schedule.ParseStore(name)
	if err != nil {
		return err
	}
	return s.UseStore(store)
}

func readSchedule(file string) (*schedule.Schedule, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := schedule.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}
