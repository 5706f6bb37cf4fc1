package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/sim"

	"github.com/spf13/cobra"
)

// campaign is one run command.
type campaign struct {
	seed    uint64
	seeds   string
	budget  time.Duration
	jobs    int
	shard   string
	profile string
	store   string
	report  string
	quiet   bool

	from, to   uint64
	step       uint64 // of the seeds of one shard
	until      time.Time
	begun      time.Time
	saidAt     time.Time
	fired      []sim.Class
	described  int
	mu         sync.Mutex
	next       uint64
	sum        *sim.Campaign
	firstError error
}

// maxDescribed bounds the failures that are described in full.
const maxDescribed = 5

func runCommand() *cobra.Command {
	c := &campaign{}
	cmd := &cobra.Command{
		Use:   "run (--seed N | --seeds N|A-B | --budget D)",
		Short: "Run seeds, and print one line each and the campaign's tables",
		Example: `  dkvsim run --seed 42
  dkvsim run --seeds 3000
  dkvsim run --seeds 1-100000 --shard 3/8 --quiet
  dkvsim run --budget 10m --profile moves --jobs 4
  dkvsim run --seeds 1000 --profile disk --store pebble-raw`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Flags().Changed("seed"))
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&c.seed, "seed", 0, "run this seed alone")
	f.StringVar(&c.seeds, "seeds", "", "run seeds 1 to N, or A-B")
	f.DurationVar(&c.budget, "budget", 0, "run seeds, from 1 or from the first of --seeds on, for this long")
	f.IntVar(&c.jobs, "jobs", runtime.NumCPU(), "how many seeds to run at once")
	f.StringVar(&c.shard, "shard", "1/1", "run only every n-th seed: I/N, with I from 1 to N")
	f.StringVar(&c.profile, "profile", sim.Profiles()[0], "what seeds may draw: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&c.store, "store", storeNames()[0], "what holds the contents of disks: "+strings.Join(storeNames(), ", "))
	f.StringVar(&c.report, "report", "", "write the files of failed runs below this directory (default: a new temporary one)")
	f.BoolVar(&c.quiet, "quiet", false, "print only failures, progress and the tables")
	return cmd
}

func (c *campaign) run(one bool) error {
	if err := c.plan(one); err != nil {
		return err
	}
	c.begun, c.saidAt = time.Now(), time.Now()
	var done sync.WaitGroup
	for range c.jobs {
		done.Go(c.work)
	}
	done.Wait()
	if c.firstError != nil {
		return c.firstError
	}
	runs, _ := c.sum.Runs()
	if runs > 1 {
		fmt.Print(c.sum.Tables())
		fmt.Printf("wall time %v, %d jobs\n", time.Since(c.begun).Round(time.Millisecond), c.jobs)
	}
	if err := statusOf(c.fired); err != nil {
		return err
	}
	if err := c.sum.Err(); err != nil {
		fmt.Println(err)
		return tooCalm
	}
	return nil
}

// plan turns the flags into a range of seeds.
func (c *campaign) plan(one bool) error {
	c.sum = sim.NewCampaign(c.profile)
	if _, err := sim.ParseStore(cmp.Or(c.store, storeNames()[0])); err != nil {
		return err
	}
	if _, err := sim.Draw(0, c.profile); err != nil {
		return err
	}
	if c.jobs < 1 {
		return fmt.Errorf("--jobs %d: must be at least 1", c.jobs)
	}
	c.from, c.to = 1, 1<<63-1
	switch {
	case one && (c.seeds != "" || c.budget > 0):
		return errors.New("--seed runs one seed: leave out --seeds and --budget")
	case one:
		c.from, c.to = c.seed, c.seed
	case c.seeds != "":
		r, err := sim.ParseSeeds(c.seeds)
		if err != nil {
			return err
		}
		c.from = r.From
		if c.budget == 0 || strings.Contains(c.seeds, "-") {
			c.to = r.To
		}
	case c.budget == 0:
		return errors.New("say which seeds: --seed, --seeds or --budget")
	}
	if c.budget > 0 {
		c.until = time.Now().Add(c.budget)
	}
	return c.planShard()
}

func (c *campaign) planShard() error {
	i, n, found := strings.Cut(c.shard, "/")
	index, err := strconv.ParseUint(i, 10, 32)
	count, err2 := strconv.ParseUint(n, 10, 32)
	if !found || err != nil || err2 != nil || index < 1 || index > count {
		return fmt.Errorf("--shard %q: want I/N, with I from 1 to N", c.shard)
	}
	c.next, c.step = c.from+index-1, count
	return nil
}

func (c *campaign) work() {
	for {
		seed, ok := c.take()
		if !ok {
			return
		}
		schedule, err := sim.DrawOn(seed, c.profile, sim.Store(cmp.Or(c.store, storeNames()[0])))
		if err == nil {
			begun := time.Now()
			var r *sim.Result
			if r, err = sim.Run(schedule, sim.RunOptions{}); err == nil {
				c.add(r, time.Since(begun))
			}
		}
		if err != nil {
			c.mu.Lock()
			c.firstError = errors.Join(c.firstError, err)
			c.mu.Unlock()
			return
		}
	}
}

func (c *campaign) take() (seed uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seed = c.next
	if seed > c.to || seed < c.from || !c.until.IsZero() && time.Now().After(c.until) {
		return 0, false
	}
	c.next += c.step
	return seed, true
}

func (c *campaign) add(r *sim.Result, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Add(r, wall)
	if !c.quiet || len(r.Classes) > 0 {
		fmt.Println(r.Line(wall))
	}
	c.progress()
	if len(r.Classes) == 0 {
		return
	}
	for _, class := range r.Classes {
		if !slices.Contains(c.fired, class) {
			c.fired = append(c.fired, class)
		}
	}
	if c.described < maxDescribed {
		c.described++
		c.report = describe(r, c.profile, c.report)
	}
}

// progress says every ten seconds how far the campaign is.
func (c *campaign) progress() {
	if !c.quiet || time.Since(c.saidAt) < 10*time.Second {
		return
	}
	c.saidAt = time.Now()
	runs, failed := c.sum.Runs()
	fmt.Fprintf(os.Stderr, "%v: %d runs, %d failed, %.0f events a second and core\n",
		time.Since(c.begun).Round(time.Second), runs, failed, c.sum.Rate())
}

// describe writes a failed run's files below the directory, or a new one, and
// says all there is to say; it returns the directory.
func describe(r *sim.Result, profile, dir string) string {
	if dir == "" {
		made, err := os.MkdirTemp("", "dkv-sim-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "dkvsim:", err)
			return ""
		}
		dir = made
	}
	report, err := sim.WriteReport(dir, r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dkvsim:", err)
	}
	fmt.Print(sim.Failure(r, profile, report))
	return dir
}

func storeNames() []string {
	var names []string
	for _, s := range sim.Stores() {
		names = append(names, string(s))
	}
	return names
}

func storeUsage() string {
	return "what holds the contents of disks: " + strings.Join(storeNames(), ", ") + " (default: what the schedule says)"
}

func useStore(schedule *sim.Schedule, name string) error {
	store, err := sim.ParseStore(name)
	if err != nil {
		return err
	}
	return schedule.UseStore(store)
}

func readSchedule(file string) (*sim.Schedule, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	schedule, err := sim.ParseSchedule(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return schedule, nil
}
