package campaign

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dkv/sim"
	"dkv/sim/world"
)

// asProgram makes the test binary run the campaign that its arguments ask for;
// stuck makes it run a seed that never ends.
const (
	asProgram = "CAMPAIGN_TEST_PROGRAM"
	stuck     = "CAMPAIGN_TEST_STUCK"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(stuck) != "":
		c := sham(nil)
		c.Stderr = os.Stderr
		c.simulate = func(uint64) (*sim.Result, error) {
			fmt.Fprintln(os.Stderr, "a seed has begun")
			select {}
		}
		fmt.Println(c.run())
	case os.Getenv(asProgram) != "":
		o := Options{Stdout: os.Stdout, Stderr: os.Stderr}
		flags := flag.NewFlagSet("campaign", flag.ExitOnError)
		o.AddFlags(flags)
		flags.Parse(os.Args[1:])
		os.Exit(exitOf(Run(o)).Status)
	default:
		os.Exit(m.Run())
	}
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	t.Cleanup(func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	return cmd
}

// shamResult returns the result of a run that did not happen; what it counts
// depends on its seed.
func shamResult(seed uint64, fired ...sim.Class) *sim.Result {
	s, err := sim.Draw(seed, "calm")
	if err != nil {
		panic(err)
	}
	r := &sim.Result{
		Schedule: s, Events: 1000 + seed, Virtual: time.Duration(seed) * time.Second, PrimaryChanges: int(seed % 5), Trace: seed,
		Called: 100, Done: 60 + int(seed), Refused: 5, Unknown: 4, UnknownSeen: seed % 2, Classes: fired,
		Counters: []world.Counter{{Name: "crash", Count: seed % 3}, {Name: "restart", Count: seed}},
	}
	for k := range r.Probes {
		r.Probes[k] = (seed + uint64(k)) % 4
	}
	for _, class := range fired {
		r.Violations = append(r.Violations, sim.Violation{Class: class, What: "a sham"})
	}
	return r
}

// sham is a campaign over seeds 1 to 12 whose runs are not run. Those of the
// seeds in failing fail by that class.
func sham(failing map[uint64]sim.Class) *campaign {
	c := &campaign{Options: Options{Seeds: "1-12", Jobs: 2, Profile: "default", StateEvery: time.Hour, Quiet: true, Stdout: io.Discard, Stderr: io.Discard}}
	c.simulate = func(seed uint64) (*sim.Result, error) {
		if class, fails := failing[seed]; fails {
			return shamResult(seed, class), nil
		}
		return shamResult(seed), nil
	}
	return c
}

var timed = regexp.MustCompile(`\d+ a second and core|wall time .*`)

// shown runs a campaign and returns what it printed, without what depends on the
// time, and how it ended.
func shown(t *testing.T, c *campaign) (string, int) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout = &out
	err := c.run()
	return timed.ReplaceAllString(out.String(), ""), exitOf(err).Status
}

// tables are the end of what a campaign printed.
func tables(t *testing.T, text string) string {
	t.Helper()
	at := strings.Index(text, "faults that took effect")
	if at < 0 {
		t.Fatalf("there are no tables:\n%s", text)
	}
	return text[at:]
}

// results reads what --json wrote.
func results(t *testing.T, file string) *Document {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// untimed is a document without what differs from one time to the next.
func untimed(d *Document) Document {
	u := *d
	u.Flags, u.Wall, u.Tally.Core, u.SeedsPerSecond, u.EventRate = nil, 0, 0, 0, 0
	return u
}

func TestCampaignStoppedAndResumedIsTheSame(t *testing.T) {
	failing := map[uint64]sim.Class{3: sim.Invariant, 9: sim.Progress}
	dir := t.TempDir()
	through := sham(failing)
	through.JSON, through.Report = filepath.Join(dir, "through.JSON"), dir
	want, wantStatus := shown(t, through)
	if wantStatus != 14 {
		t.Fatalf("status %d, want 14:\n%s", wantStatus, want)
	}
	for _, stopAt := range [][]uint64{{1}, {4}, {2, 5, 10}} {
		state, json := filepath.Join(dir, fmt.Sprint(stopAt)), filepath.Join(dir, fmt.Sprint(stopAt)+".json")
		var got string
		var status int
		for i := range len(stopAt) + 1 {
			c := sham(failing)
			c.State, c.JSON, c.Report = state, json, dir
			c.Jobs = 1 // or another job might run all that is left before the stop
			run := c.simulate
			c.simulate = func(seed uint64) (*sim.Result, error) {
				if i < len(stopAt) && seed == stopAt[i] {
					c.interrupt()
				}
				return run(seed)
			}
			got, status = shown(t, c)
			d := results(t, json)
			if i < len(stopAt) && (status != int(Unfinished) || d.Complete || d.Whole || d.Exit.Status != status) {
				t.Fatalf("stopped at %v: status %d, %+v", stopAt[:i+1], status, d.Exit)
			}
			if i < len(stopAt) && !strings.HasSuffix(got, "the same command resumes from "+state+"\n") {
				t.Errorf("stopped at %v it does not say how to resume:\n%s", stopAt[:i+1], got)
			}
		}
		if status != wantStatus {
			t.Errorf("stopped at %v: status %d, want %d", stopAt, status, wantStatus)
		}
		if a, b := tables(t, got), tables(t, want); a != b {
			t.Errorf("stopped at %v and resumed it shows\n%s\nand in one go\n%s", stopAt, a, b)
		}
		if a, b := untimed(results(t, json)), untimed(results(t, through.JSON)); !reflect.DeepEqual(a, b) {
			t.Errorf("stopped at %v and resumed it gives\n%+v\nand in one go\n%+v", stopAt, a, b)
		}
	}
}

// A campaign that was over says again what it said.
func TestCampaignThatIsOverRunsNothing(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for _, budget := range []time.Duration{0, time.Nanosecond} {
		c := sham(nil)
		c.State, c.Budget = state, budget
		want, _ := shown(t, c)
		again := sham(nil)
		again.State, again.Budget = state, budget
		again.simulate = func(seed uint64) (*sim.Result, error) { return nil, fmt.Errorf("seed %d ran again", seed) }
		if got, status := shown(t, again); status != 0 || got != want {
			t.Errorf("status %d:\n%s\nfirst it was\n%s", status, got, want)
		}
	}
}

func TestBudgetCountsAllStarts(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	first := sham(nil)
	first.State = state
	shown(t, first)
	d, err := readState(state)
	if err != nil {
		t.Fatal(err)
	}
	d.Wall = 40 * time.Minute
	if err := writeState(state, d); err != nil {
		t.Fatal(err)
	}
	second := sham(nil)
	second.State, second.Budget = state, time.Hour
	if err := second.prepare(); err != nil {
		t.Fatal(err)
	}
	if left := second.until.Sub(second.begun); left != 20*time.Minute {
		t.Errorf("%v are left, want 20m", left)
	}
}

// wait waits for a condition; go test ends a test that hangs.
func wait(t *testing.T, there func() bool) {
	t.Helper()
	for !there() {
		time.Sleep(5 * time.Millisecond)
	}
}

func runsIn(state string) int {
	d, err := readState(state)
	if err != nil || d == nil {
		return 0
	}
	return d.Tally.Runs
}

func TestSignalsStopTheProgram(t *testing.T) {
	dir := t.TempDir()
	state, json := filepath.Join(dir, "state"), filepath.Join(dir, "results.json")
	args := []string{"--budget", "10h", "--profile", "calm", "--jobs", "1", "--quiet", "--state", state, "--state-every", "5ms", "--json", json}
	runs := 0
	for _, with := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT} {
		cmd := program(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait(t, func() bool { return runsIn(state) > runs })
		if err := cmd.Process.Signal(with); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		runs = runsIn(state)
		if with == syscall.SIGKILL {
			continue
		}
		if cmd.ProcessState.ExitCode() != int(Unfinished) {
			t.Fatalf("%v: %v, want status %d", with, err, Unfinished)
		}
		if d := results(t, json); d.Tally.Runs != runs || d.Complete {
			t.Fatalf("%v: the results have %d runs, the state %d", with, d.Tally.Runs, runs)
		}
	}
	// What stands in the file is what those seeds give, each counted once.
	d, err := readState(state)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Span{{1, uint64(runs), 1}}; !slices.Equal(d.Ran, want) {
		t.Fatalf("%v were run, want %v", d.Ran, want)
	}
	once := &campaign{Options: Options{Seeds: fmt.Sprintf("1-%d", runs), Jobs: 1, Profile: "calm", Quiet: true, JSON: filepath.Join(dir, "once.json")}}
	if err := once.run(); err != nil {
		t.Fatal(err)
	}
	got, want := d.Tally, results(t, once.JSON).Tally
	got.Core, want.Core = 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after three stops it counts\n%+v\nand in one go\n%+v", got, want)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	cmd := program(t)
	cmd.Env = append(cmd.Env, stuck+"=1")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Before a seed has begun, the first signal may end it.
	lines := bufio.NewScanner(errs)
	for lines.Scan() && !strings.Contains(lines.Text(), "a seed has begun") {
	}
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() && !strings.Contains(lines.Text(), "another signal stops at once") {
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Fatalf("%v, want an end by the signal", err)
	}
}

func TestStateOfAnotherCampaignIsRefused(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	first := sham(nil)
	first.State, first.Shard = state, "2/3"
	if _, status := shown(t, first); status != 0 {
		t.Fatalf("status %d", status)
	}
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := func(change func(*Document)) []byte {
		d, err := readState(state)
		if err != nil {
			t.Fatal(err)
		}
		change(d)
		path := filepath.Join(dir, "rewritten")
		if err := writeState(path, d); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	flipped := bytes.Replace(whole, []byte(`"runs":4`), []byte(`"runs":5`), 1)
	for _, c := range []struct {
		name   string
		text   []byte
		change func(*campaign)
		want   string
	}{
		{"as it was", whole, nil, ""},
		{"other jobs and budget", whole, func(c *campaign) { c.Jobs, c.Budget = 1, time.Hour }, ""},
		{"another profile", whole, func(c *campaign) { c.Profile = "rough" }, "--profile is default there, rough here"},
		{"another store", whole, func(c *campaign) { c.Store = "pebble" }, "--store is model there, pebble here"},
		{"other seeds", whole, func(c *campaign) { c.Seeds = "2-13" }, "first seed is 1 there, 2 here; last seed is 12 there, 13 here"},
		{"another shard", whole, func(c *campaign) { c.Shard = "3/3" }, "shard is [2] there, [3] here"},
		{"other shards", whole, func(c *campaign) { c.Shard = "2/4" }, "number of shards is 3 there, 4 here"},
		{"another commit", rewritten(func(d *Document) { d.Build.Commit = "c0ffee" }), nil, "commit is c0ffee there"},
		{"another binary", rewritten(func(d *Document) { d.Build.Binary = "c0ffee" }), nil, "SHA-256 is c0ffee there"},
		{"a run too many", rewritten(func(d *Document) { d.Tally.Runs++ }), nil, "counts 5 runs"},
		{"a seed too few", rewritten(func(d *Document) { d.Ran[0].To -= 3 }), nil, "4 runs are counted, and 3 seeds are done"},
		{"a newer version", rewritten(func(d *Document) { d.Version++ }), nil, "version is 2"},
		{"cut short", whole[:len(whole)/2], nil, "damaged or truncated"},
		{"one digit changed", flipped, nil, "damaged or truncated"},
		{"nothing in it", nil, nil, "not the state of a campaign"},
		{"something else", []byte("seed 42\nnodes 5\n"), nil, "not the state of a campaign"},
	} {
		if err := os.WriteFile(state, c.text, 0o644); err != nil {
			t.Fatal(err)
		}
		again := sham(nil)
		again.State, again.Shard = state, "2/3"
		if c.change != nil {
			c.change(again)
		}
		err := again.run()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "remove this one to start afresh") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if text, _ := os.ReadFile(state); !bytes.Equal(text, c.text) {
			t.Errorf("%s: it was refused, and changed", c.name)
		}
	}
}

func TestExitStatusOfACampaign(t *testing.T) {
	for i, class := range sim.Classes {
		c := sham(map[uint64]sim.Class{2: class, 5: sim.Bounds})
		c.described = maxDescribed // their reports would not be read
		if _, status := shown(t, c); status != 11+i {
			t.Errorf("class %s: status %d, want %d", class, status, 11+i)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*campaign)
		want   int
	}{
		{"all is well", func(*campaign) {}, 0},
		{"a mistake in the command", func(c *campaign) { c.Jobs = 0 }, 2},
		{"a run that cannot be", func(c *campaign) {
			c.simulate = func(uint64) (*sim.Result, error) { return nil, errors.New("no world") }
		}, 2},
		{"results that cannot be written", func(c *campaign) { c.JSON = "no/such/directory/results.json" }, 2},
		{"a state that cannot be written", func(c *campaign) { c.State = "no/such/directory/state" }, 2},
		{"zeros in a long campaign", func(c *campaign) { c.Seeds = "1-1000" }, 3},
		{"zeros in one of two shards", func(c *campaign) { c.Seeds, c.Shard = "1-2000", "1/2" }, 0},
		{"zeros of another profile", func(c *campaign) { c.Seeds, c.Profile = "1-1000", "calm" }, 0},
	} {
		campaign := sham(nil)
		c.change(campaign)
		if out, status := shown(t, campaign); status != c.want {
			t.Errorf("%s: status %d, want %d:\n%s", c.name, status, c.want, out)
		}
	}
	for _, s := range statuses {
		if strings.Count(StatusHelp(), fmt.Sprintf("  %2d  ", int(s.status))) != 1 || exitOf(s.status).Means != s.means {
			t.Errorf("status %d is not in the help, or not in the results", s.status)
		}
	}
}

func TestShardsCountFromOneOrFromZero(t *testing.T) {
	for _, c := range []struct {
		shard, zero string
		want        uint64 // the first seed; 0: refused
	}{
		{"", "", 1}, {"1/3", "", 1}, {"3/3", "", 3}, {"", "0/3", 1}, {"", "2/3", 3},
		{"0/3", "", 0}, {"4/3", "", 0}, {"", "3/3", 0}, {"x/3", "", 0}, {"2", "", 0}, {"1/0", "", 0}, {"", "0/0", 0},
	} {
		campaign := sham(nil)
		campaign.Shard, campaign.ShardFromZero = c.shard, c.zero
		err := campaign.plan()
		if c.want == 0 {
			if err == nil {
				t.Errorf("%q, %q: not refused", c.shard, c.zero)
			}
			continue
		}
		if err != nil || campaign.seedsLeft.all.From != c.want {
			t.Errorf("%q, %q: %v, first seed %d, want %d", c.shard, c.zero, err, campaign.seedsLeft.all.From, c.want)
		}
	}
}

// Of failures those of the lowest seeds stay, in whatever order they come.
func TestFailuresAreBounded(t *testing.T) {
	var d Document
	for n := range uint64(maxFailures + 10) {
		d.keep(Failure{Seed: (n*7919)%(maxFailures+10) + 1})
	}
	if len(d.Failures) != maxFailures || d.FailuresLeftOut != 10 || d.Failures[0].Seed != 1 || d.Failures[maxFailures-1].Seed != maxFailures {
		t.Errorf("%d are kept, %d left out, seeds %d to %d", len(d.Failures), d.FailuresLeftOut, d.Failures[0].Seed, d.Failures[len(d.Failures)-1].Seed)
	}
}

func TestProgressSaysHowFarItIs(t *testing.T) {
	c := sham(nil)
	c.Budget = time.Minute
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	c.sum.Add(shamResult(1), time.Second)
	c.sum.Add(shamResult(2, sim.Progress), time.Second)
	text := c.progress(c.begun.Add(20 * time.Second))
	for _, want := range []string{"20s: 2 seeds, 0.1/s, 1002 events/s a core, 1 failed: V in 1, faults 2/", ", probes ", ", 40s left"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	c.until = time.Time{}
	if text := c.progress(c.begun); !strings.HasSuffix(text, ", 12 seeds to begin") {
		t.Error(text)
	}
	c.interrupt()
	if text := c.progress(c.begun); !strings.HasSuffix(text, ", stopping: 0 running") {
		t.Error(text)
	}
}

func TestStatusLine(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	lines := newStatusLine(&out, func() int { return 0 }, at)
	for second := range 31 {
		lines.show(at.Add(time.Duration(second)*time.Second), fmt.Sprint("at ", second))
	}
	lines.hide()
	lines.again()
	lines.end()
	if out.String() != "at 10\nat 20\nat 30\n" {
		t.Errorf("not on a terminal: %q", out.String())
	}
	out.Reset()
	terminal := newStatusLine(&out, func() int { return 10 }, at)
	terminal.show(at, "short")
	terminal.hide()
	terminal.again()
	terminal.show(at, "äöü longer than it is wide")
	terminal.end()
	terminal.again()
	if want := "\r\x1b[Kshort\r\x1b[K\r\x1b[Kshort\r\x1b[Käöü longe\r\x1b[K"; out.String() != want {
		t.Errorf("on a terminal: %q, want %q", out.String(), want)
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Seeds = "" }, "say which seeds"},
		{func(o *Options) { o.Profile = "nonsense" }, "profile"},
		{func(o *Options) { o.Jobs = 0 }, "--jobs 0"},
		{func(o *Options) { o.Shard = "3/2" }, `--shard "3/2"`},
		{func(o *Options) { o.Shard = "0/2" }, `--shard "0/2"`},
		{func(o *Options) { o.Shard = "x" }, `--shard "x"`},
		{func(o *Options) { o.Seeds = "9-3" }, "9 is above 3"},
		{func(o *Options) { o.One = true }, "--seed runs one seed"},
		{func(o *Options) { o.StopAt = "Q" }, `class "Q"`},
		{func(o *Options) { o.StopAt, o.State = "L", "x" }, "leave out --state"},
	} {
		o := Options{Jobs: 1, Shard: "1/1", Profile: "default", Seeds: "3"}
		c.change(&o)
		if _, _, err := o.Plan(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestShardsDivideTheSeeds(t *testing.T) {
	taken := make(map[uint64]int)
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		c := campaign{Options: Options{Jobs: 1, Shard: shard, Profile: "default", Seeds: "10-20"}}
		if err := c.plan(); err != nil {
			t.Fatal(err)
		}
		for seed, ok := c.take(); ok; seed, ok = c.take() {
			taken[seed]++
		}
	}
	for seed := uint64(10); seed <= 20; seed++ {
		if taken[seed] != 1 {
			t.Errorf("seed %d was taken %d times", seed, taken[seed])
		}
	}
	if len(taken) != 11 {
		t.Errorf("%d seeds taken, want 11", len(taken))
	}
}

func TestExitStatusIsThatOfTheWorstClass(t *testing.T) {
	if err := StatusOf(nil); err != nil {
		t.Errorf("no class: %v", err)
	}
	if err := StatusOf([]sim.Class{sim.Progress, sim.Invariant}); err != Status(14) {
		t.Errorf("V and I: %v, want 14", err)
	}
}

// Of several seeds that run at once the lowest in which an awaited class fired
// counts, whichever ends first.
func TestStopAtCountsTheLowestSeed(t *testing.T) {
	for _, c := range []struct {
		failing map[uint64]sim.Class
		order   []uint64 // in which runs end
		want    uint64   // 0: no seed stops the campaign
		status  int
	}{
		{map[uint64]sim.Class{2: sim.Progress, 4: sim.Durability, 3: sim.Linearizability}, []uint64{1, 2, 4, 3}, 3, 11},
		{map[uint64]sim.Class{2: sim.Progress}, nil, 0, 17},
	} {
		campaign := sham(nil)
		campaign.StopAt = "L,D"
		if err := campaign.prepare(); err != nil {
			t.Fatal(err)
		}
		for range c.order {
			campaign.take()
		}
		for _, seed := range c.order {
			campaign.add(shamResult(seed, classesOf(c.failing, seed)...), 0)
		}
		if c.order == nil {
			for seed, ok := campaign.take(); ok; seed, ok = campaign.take() {
				campaign.add(shamResult(seed, classesOf(c.failing, seed)...), 0)
			}
		}
		d := campaign.document()
		if d.Exit.Status != c.status || (d.StoppedAt == nil) != (c.want == 0) || d.StoppedAt != nil && d.StoppedAt.Seed != c.want {
			t.Errorf("stopped at %+v with status %d, want seed %d and %d", d.StoppedAt, d.Exit.Status, c.want, c.status)
		}
		if _, more := campaign.take(); more {
			t.Error("a further seed begins")
		}
	}
}

func classesOf(failing map[uint64]sim.Class, seed uint64) []sim.Class {
	if class, fails := failing[seed]; fails {
		return []sim.Class{class}
	}
	return nil
}

// One failing seed of 300 fails the campaign and is named, wherever it stands.
func TestAFailingSeedCountsWhereverItStands(t *testing.T) {
	for failing := uint64(1); failing <= 300; failing++ {
		class := sim.Classes[failing%uint64(len(sim.Classes))]
		c := sham(map[uint64]sim.Class{failing: class})
		c.Seeds, c.Jobs, c.described = "1-300", 1+int(failing%2), maxDescribed // no reports
		if out, status := shown(t, c); status == 0 {
			t.Fatalf("seed %d fails, and the campaign ends with status 0:\n%s", failing, out)
		}
		d := c.document()
		if d.Tally.Runs != 300 || d.Tally.Failed != 1 || d.Tally.ByClass[class] != 1 || len(d.Failures) != 1 || d.Failures[0].Seed != failing {
			t.Fatalf("seed %d fails by %s: %d runs, %d failed, by class %v, failures %v", failing, class, d.Tally.Runs, d.Tally.Failed, d.Tally.ByClass, d.Failures)
		}
	}
}
