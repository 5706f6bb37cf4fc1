package sim

import (
	"bufio"
	"dkv/sim/schedule"
	"errors"
	goflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The flags of go test ./sim. With any that chooses runs only the campaign
// runs, and the package's other tests do not.
var (
	flagSeed     = goflag.Uint64("seed", 0, "run this seed")
	flagSeeds    = goflag.String("seeds", "", "run seeds 1 to `N`, or A-B")
	flagBudget   = goflag.Duration("budget", 0, "run seeds, from 1 or from the first of -seeds on, for this long")
	flagProfile  = goflag.String("profile", Profiles()[0], "what seeds may draw: "+strings.Join(Profiles(), ", "))
	flagSchedule = goflag.String("schedule", "", "run the schedule in this `file`")
	flagSteps    = goflag.Bool("steps", false, "print each step of the run (with -seed or -schedule)")
	flagReport   = goflag.String("report", "", "write the files of failed runs below this `directory`; default: a new temporary one")
	flagStopAt   = goflag.String("stop-at", "", "stop at the first seed where one of these `classes` fires, such as D,L, and report nothing else")
	flagStore    = goflag.String("store", string(schedule.Stores()[0]), "what holds the contents of disks: "+strings.Join(schedule.StoreNames(), ", ")+"; default with -schedule: what it says")
	flagTwice    = goflag.Bool("twice", false, "run each seed of a campaign twice, and fail where the two runs differ")
	flagShrink   = goflag.Bool("shrink", false, "minimise the schedule of the first run that fails")
)

func chosen(name string) bool {
	found := false
	goflag.Visit(func(f *goflag.Flag) { found = found || f.Name == name })
	return found
}

func TestMain(m *testing.M) {
	goflag.Parse()
	TuneHeap()
	if slices.ContainsFunc([]string{"seed", "seeds", "budget", "schedule"}, chosen) {
		if err := goflag.Set("test.run", "^TestCampaign$"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestCampaign runs what the flags ask for.
func TestCampaign(t *testing.T) {
	store, err := schedule.ParseStore(*flagStore)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case *flagSchedule != "":
		s, err := readSchedule(*flagSchedule)
		if err == nil && chosen("store") {
			err = s.UseStore(store)
		}
		if err != nil {
			t.Fatal(err)
		}
		runOne(t, s)
	case chosen("seed"):
		s, err := DrawOn(*flagSeed, *flagProfile, store)
		if err != nil {
			t.Fatal(err)
		}
		runOne(t, s)
	case *flagSeeds != "" || *flagBudget > 0:
		runCampaign(t, store)
	default:
		t.Skip("asked for by -seed, -seeds, -budget or -schedule")
	}
}

// readSchedule tries a relative path from the module's root, then from here.
func readSchedule(path string) (*schedule.Schedule, error) {
	text, err := os.ReadFile(rooted(path))
	if errors.Is(err, os.ErrNotExist) && !filepath.IsAbs(path) {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	return schedule.Parse(string(text))
}

// rooted is a path as seen from the module's root; tests run one level below.
func rooted(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("..", path)
}

// runOne runs one schedule, and says all there is to say about it.
func runOne(t *testing.T, s *schedule.Schedule) {
	options := RunOptions{}
	if *flagSteps {
		out := bufio.NewWriterSize(os.Stdout, 1<<16)
		defer out.Flush()
		options.Steps = out
		options.Note = func(at time.Duration, what string) { fmt.Fprintf(out, "%8s %14v %s\n", "", at, what) }
	}
	begun := time.Now()
	r, err := Run(s, options)
	if err != nil {
		t.Fatal(err)
	}
	wall := time.Since(begun)
	fmt.Println(r.Line(wall))
	if len(r.Classes) > 0 {
		reportFailure(t, r)
		t.Fail()
		return
	}
	if testing.Verbose() {
		c := NewCampaign(*flagProfile)
		c.Add(r, wall)
		fmt.Print(c.Tables())
	}
}

var reportDir = sync.OnceValues(func() (string, error) {
	if *flagReport != "" {
		return filepath.Abs(rooted(*flagReport))
	}
	return os.MkdirTemp("", "dkv-sim-")
})

func reportFailure(t *testing.T, r *Result) {
	dir, err := reportDir()
	if err != nil {
		t.Error(err)
		return
	}
	if *flagShrink {
		r = shrinkFailure(t, r)
	}
	report, err := WriteReport(dir, r)
	if err != nil {
		t.Error(err)
	}
	fmt.Print(Failure(r, *flagProfile, report))
}

// campaign is the seeds of one go test command on all cores.
type campaign struct {
	t        *testing.T
	store    schedule.Store
	seeds    Seeds
	until    time.Time // when no further seed is begun
	stopAt   []Class
	next     atomic.Uint64
	stopped  atomic.Bool
	reported int

	mu   sync.Mutex
	sum  *Campaign
	stop *Result // of the first seed in which a class of stopAt fired
}

// maxReported bounds the failures that are described in full.
const maxReported = 5

func runCampaign(t *testing.T, store schedule.Store) {
	c := &campaign{t: t, store: store, seeds: Seeds{1, 1<<63 - 1}, sum: NewCampaign(*flagProfile)}
	var err error
	if *flagSeeds != "" {
		if c.seeds, err = ParseSeeds(*flagSeeds); err != nil {
			t.Fatal(err)
		}
	}
	if c.stopAt, err = ParseClasses(*flagStopAt); err != nil {
		t.Fatal(err)
	}
	if *flagBudget > 0 {
		c.until = time.Now().Add(*flagBudget)
		if *flagSeeds == "" || !strings.Contains(*flagSeeds, "-") {
			c.seeds.To = 1<<63 - 1
		}
	}
	c.respectDeadline()
	c.next.Store(c.seeds.From)
	var done sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		done.Go(c.work)
	}
	done.Wait()
	if len(c.stopAt) > 0 {
		fmt.Println(c.stopLine())
		return
	}
	fmt.Print(c.sum.Tables())
	if err := c.sum.Err(); err != nil {
		t.Fatal(err)
	}
}

// respectDeadline ends the campaign, with its tables, before go test ends it.
func (c *campaign) respectDeadline() {
	deadline, ok := c.t.Deadline()
	if !ok {
		return
	}
	if last := deadline.Add(-20 * time.Second); c.until.IsZero() || last.Before(c.until) {
		c.until = last
	}
}

func (c *campaign) work() {
	for !c.stopped.Load() {
		seed := c.next.Add(1) - 1
		if seed > c.seeds.To {
			return
		}
		if !c.until.IsZero() && time.Now().After(c.until) {
			c.endEarly(seed)
			return
		}
		s, err := DrawOn(seed, *flagProfile, c.store)
		if err != nil {
			c.t.Error(err)
			return
		}
		begun := time.Now()
		r, err := runCampaignSeed(s)
		if err != nil {
			c.t.Errorf("seed %d: %v", seed, err)
			return
		}
		c.add(r, time.Since(begun))
	}
}

func runCampaignSeed(s *schedule.Schedule) (*Result, error) {
	if *flagTwice {
		return RunTwice(s)
	}
	return Run(s, RunOptions{})
}

func (c *campaign) endEarly(seed uint64) {
	if !c.stopped.Swap(true) && *flagBudget == 0 {
		fmt.Printf("out of time before seed %d; go test -timeout=0 has no limit\n", seed)
	}
}

func (c *campaign) add(r *Result, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Add(r, wall)
	if len(c.stopAt) > 0 {
		c.stopHere(r)
		return
	}
	fmt.Println(r.Line(wall))
	if len(r.Classes) > 0 && c.reported < maxReported {
		c.reported++
		reportFailure(c.t, r)
	}
}

// stopHere ends the campaign at a run in which an awaited class fired. Of
// several at once the lowest seed counts, however many run at once.
func (c *campaign) stopHere(r *Result) {
	if !slices.ContainsFunc(r.Classes, func(class Class) bool { return slices.Contains(c.stopAt, class) }) {
		return
	}
	c.stopped.Store(true)
	if c.stop == nil || r.Schedule.Setup.Seed < c.stop.Schedule.Setup.Seed {
		c.stop = r
	}
}

// stopLine says where a campaign with -stop-at stopped: all classes of that run,
// and the one that fired first in it. If it did not, it says what else fired.
func (c *campaign) stopLine() string {
	if c.stop == nil {
		runs, _ := c.sum.Runs()
		return fmt.Sprintf("not-stopped runs=%d class=%s", runs, joinClasses(c.sum.Fired()))
	}
	seed := c.stop.Schedule.Setup.Seed
	return fmt.Sprintf("stopped-at seed=%d runs=%d class=%s first=%s what=%q", seed, seed-c.seeds.From+1,
		joinClasses(c.stop.Classes), c.stop.Violations[0].Class, firstOf(c.stop, c.stopAt))
}

func firstOf(r *Result, classes []Class) string {
	for _, v := range r.Violations {
		if slices.Contains(classes, v.Class) {
			line, _, _ := strings.Cut(v.What, "\n")
			return line
		}
	}
	return ""
}

// fixedSeeds are run by a plain go test, each twice.
const fixedSeeds = 40

// TestFixedSeedsPassAndRepeat runs each seed twice: it has to pass, and take
// the same steps.
func TestFixedSeedsPassAndRepeat(t *testing.T) {
	for seed := uint64(1); seed <= fixedSeeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			s, err := Draw(seed, Profiles()[0])
			if err != nil {
				t.Fatal(err)
			}
			passAndRepeat(t, s)
		})
	}
}

// TestRegressions runs the schedules of bugs that were found once.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/regressions/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			s, err := readSchedule(filepath.Join("sim", file))
			if err != nil {
				t.Fatal(err)
			}
			passAndRepeat(t, s)
		})
	}
}

func passAndRepeat(t *testing.T, s *schedule.Schedule) {
	r, err := RunTwice(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) > 0 {
		reportFailure(t, r)
		t.FailNow()
	}
}
