package campaign

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"dkv/sim"
	"dkv/sim/schedule"
)

// Options says what a campaign runs and where its results go. The flags of
// AddFlags set all but the last group.
type Options struct {
	Seed          uint64
	Seeds         string
	Budget        time.Duration
	Jobs          int
	Shard         string
	ShardFromZero string
	Profile       string
	Store         string
	Report        string
	State         string
	StateEvery    time.Duration
	JSON          string
	StopAt        string
	Twice         bool
	Shrink        bool
	Quiet         bool

	One      bool              // run Seed alone
	Deadline time.Time         // begin no seed after this; zero: no deadline
	Tables   bool              // print the tables even for a single run
	Flags    map[string]string // those that were given, for the JSON document
	Stdout   io.Writer         // of lines and tables, or of the JSON document
	Stderr   io.Writer         // of messages
	Terminal *os.File          // where progress is shown; nil: nowhere
}

// AddFlags defines the flags of a campaign. Whether a seed was given is for the
// front end to find out, and to set One.
func (o *Options) AddFlags(f *flag.FlagSet) {
	f.Uint64Var(&o.Seed, "seed", 0, "run only this seed")
	f.StringVar(&o.Seeds, "seeds", "", "run seeds 1 to `N`, or A-B")
	f.DurationVar(&o.Budget, "budget", 0, "run seeds for this long, starting at 1 or at the first of --seeds")
	f.IntVar(&o.Jobs, "jobs", runtime.GOMAXPROCS(0), "number of seeds to run at once")
	f.StringVar(&o.Shard, "shard", "1/1", "run only every n-th seed: `I/N`, with I from 1 to N")
	f.StringVar(&o.ShardFromZero, "shard-from-zero", "", "like --shard, with I from 0 to N-1, as batch systems count")
	f.StringVar(&o.Profile, "profile", sim.Profiles()[0], "profile that seeds are drawn from: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&o.Store, "store", schedule.StoreNames()[0], "store of the simulated disks: "+strings.Join(schedule.StoreNames(), ", "))
	f.StringVar(&o.Report, "report", "", "write reports of failed runs, and with --seed also of one that passed, below this `directory` (default: of failed runs, a new temporary one)")
	f.StringVar(&o.State, "state", "", "keep the campaign's state in this `file`, and resume from it")
	f.DurationVar(&o.StateEvery, "state-every", 15*time.Second, "how often to write --state")
	f.StringVar(&o.JSON, "json", "", "write the results to this `file` as JSON (-: to standard output, with everything else on standard error)")
	f.StringVar(&o.StopAt, "stop-at", "", "stop at the first seed where one of these `classes` fires, such as D,L, and print only that seed")
	f.BoolVar(&o.Twice, "twice", false, "run each seed twice and fail if the two runs differ")
	f.BoolVar(&o.Shrink, "shrink", false, "shrink the schedules of failed runs before reporting them")
	f.BoolVar(&o.Quiet, "quiet", false, "print only failures, progress and the tables")
}

// Plan returns the seeds that the options ask for, and which shard of them this
// campaign runs, counted from 1. The error says which option is wrong.
func (o *Options) Plan() (p Plan, shard uint64, err error) {
	p = Plan{Profile: o.Profile, Store: cmp.Or(o.Store, schedule.StoreNames()[0]), From: 1, To: 1<<63 - 1}
	if err := o.check(); err != nil {
		return p, 0, err
	}
	switch {
	case o.One:
		p.From, p.To = o.Seed, o.Seed
	case o.Seeds != "":
		r, err := sim.ParseSeeds(o.Seeds)
		if err != nil {
			return p, 0, err
		}
		p.From = r.From
		if o.Budget == 0 || strings.Contains(o.Seeds, "-") {
			p.To = r.To
		}
	}
	shard, p.Shards, err = o.shard()
	return p, shard, err
}

func (o *Options) check() error {
	if _, err := schedule.ParseStore(cmp.Or(o.Store, schedule.StoreNames()[0])); err != nil {
		return err
	}
	if _, err := sim.Draw(0, o.Profile); err != nil {
		return err
	}
	awaited, err := sim.ParseClasses(o.StopAt)
	switch {
	case err != nil:
		return fmt.Errorf("--stop-at: %w", err)
	case o.Jobs < 1:
		return fmt.Errorf("--jobs %d: must be at least 1", o.Jobs)
	case len(awaited) > 0 && o.State != "":
		return errors.New("--stop-at keeps no state: leave out --state")
	case o.One && (o.Seeds != "" || o.Budget > 0):
		return errors.New("--seed runs one seed: leave out --seeds and --budget")
	case !o.One && o.Seeds == "" && o.Budget == 0:
		return errors.New("say which seeds to run: --seed, --seeds or --budget")
	}
	return nil
}

// shard reads which shard this is, from 1 on, of how many.
func (o *Options) shard() (shard, of uint64, err error) {
	flag, text, first := "--shard", cmp.Or(o.Shard, "1/1"), uint64(1)
	if o.ShardFromZero != "" {
		flag, text, first = "--shard-from-zero", o.ShardFromZero, 0
	}
	i, n, found := strings.Cut(text, "/")
	index, err := strconv.ParseUint(i, 10, 32)
	count, err2 := strconv.ParseUint(n, 10, 32)
	if !found || err != nil || err2 != nil || index < first || index-first >= count {
		return 0, 0, fmt.Errorf("%s %q: want I/N, with I from %d to N%s", flag, text, first, map[uint64]string{0: "-1"}[first])
	}
	return index - first + 1, count, nil
}
