package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"dkv/sim"
	"dkv/sim/campaign"
	"dkv/sim/schedule"
	"dkv/sim/world"

	"github.com/spf13/cobra"
)

// replaying is one replay command.
type replaying struct {
	seed    uint64
	file    string
	profile string
	store   string
	report  string
	steps   bool
	until   uint64
}

func replayCommand() *cobra.Command {
	p := &replaying{}
	cmd := &cobra.Command{
		Use:   "replay (FILE | --seed N)",
		Short: "Run one schedule, optionally stopping at a step to inspect the state",
		Long: `replay runs the schedule in a file, or the schedule of a seed. With --steps it prints
each step: its number, virtual time, node and event. With --until it stops after that
step, prints the state of every node, of ZooKeeper and of the network, and reads
commands from standard input:

` + replayHelp,
		Example: `  dkvsim replay sim/testdata/regressions/NAME.txt --steps
  dkvsim replay DIR/seed-42-…/schedule.txt --until 1583
  dkvsim replay --seed 42 --profile rough --until 20000`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := chosenSchedule(cmd, args, p.file, p.seed, p.profile, p.store)
			if err != nil {
				return err
			}
			return p.run(s, cmd.Flags().Changed("until"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.file, "schedule", "", "file of the schedule")
	f.Uint64Var(&p.seed, "seed", 0, "or the seed to draw the schedule from")
	f.StringVar(&p.profile, "profile", sim.Profiles()[0], "profile of --seed: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&p.store, "store", "", storeUsage())
	f.BoolVar(&p.steps, "steps", false, "print each step")
	f.Uint64Var(&p.until, "until", 0, "stop after this `step` and read commands")
	f.StringVar(&p.report, "report", "", "write the report of a failed run below this `directory` (default: a new temporary one)")
	return cmd
}

func (p *replaying) run(s *schedule.Schedule, stops bool) error {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	var options sim.RunOptions
	var look *lookout
	switch {
	case stops:
		look = newLookout(os.Stdin, out, p.until, p.steps)
		options = sim.RunOptions{Steps: look, Pause: look.pause}
	case p.steps:
		options.Steps = out
	}
	if options.Steps != nil {
		options.Note = func(at time.Duration, what string) { fmt.Fprintf(options.Steps, "%8s %14v %s\n", "", at, what) }
	}
	begun := time.Now()
	r, err := sim.Run(s, options)
	if err != nil {
		return err
	}
	if look != nil && look.left {
		return out.Flush()
	}
	if look != nil && !look.stopped {
		fmt.Fprintf(out, "the run ended before step %d\n", p.until)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	o := campaign.Options{Profile: p.profile, Report: p.report, Stdout: os.Stdout, Stderr: os.Stderr}
	return campaign.Conclude(o, r, time.Since(begun))
}

const replayHelp = `  enter    run to the next step
  n 100    run 100 steps
  s 5000   run to step 5000
  c n2     run to the next step at node n2; c alone: at any node
  p        print the state again; p n2: only the state of node n2
  r        run to the end
  q        quit
`

// lookout stops a run, shows its state and carries out the commands of a person.
// It learns of steps from the lines that the run writes.
type lookout struct {
	in  *bufio.Scanner
	out *bufio.Writer

	printing bool   // lines go out
	asked    bool   // for lines also before the first stop
	until    uint64 // stop when so many steps were taken
	node     string // or at the next line of this node; "-": of any
	met      bool
	free     bool // no further stop
	stopped  bool // once at least
	left     bool // by q
}

// newLookout stops after a number of steps for the first time.
func newLookout(in io.Reader, out *bufio.Writer, until uint64, printing bool) *lookout {
	return &lookout{in: bufio.NewScanner(in), out: out, until: until, printing: printing, asked: printing}
}

// Write takes one line of the run.
func (l *lookout) Write(line []byte) (int, error) {
	if fields := strings.Fields(string(line)); l.node != "" && len(fields) > 2 && line[0] == ' ' {
		if _, err := strconv.ParseUint(fields[0], 10, 64); err == nil {
			l.met = l.met || fields[2] == l.node || l.node == anyNode && fields[2] != "-"
		}
	}
	if !l.printing {
		return len(line), nil
	}
	return l.out.Write(line)
}

const anyNode = "any"

// pause is called before each step.
func (l *lookout) pause(w *world.World) (goOn bool) {
	switch {
	case l.free, l.node == "" && w.Steps() < l.until, l.node != "" && !l.met:
		return true
	}
	if !l.stopped {
		l.stopped, l.printing = true, true
		l.show(w, "")
		fmt.Fprint(l.out, replayHelp)
	}
	for {
		fmt.Fprintf(l.out, "[step %d, %v] ", w.Steps(), w.Now())
		if l.out.Flush() != nil || !l.in.Scan() {
			l.left = true
			fmt.Fprintln(l.out)
			return false
		}
		if resume, quit := l.command(w, strings.Fields(l.in.Text())); quit || resume {
			l.left = quit
			return !quit
		}
	}
}

// command carries out one line: resume lets the run continue, quit ends it.
func (l *lookout) command(w *world.World, words []string) (resume, quit bool) {
	l.node, l.met = "", false
	name, argument := "", ""
	if len(words) > 0 {
		name = words[0]
	}
	if len(words) > 1 {
		argument = words[1]
	}
	switch name {
	case "":
		l.until = w.Steps() + 1
		return true, false
	case "n", "s":
		n, err := strconv.ParseUint(argument, 10, 63)
		if err != nil {
			fmt.Fprintf(l.out, "%s needs a number of steps (example: %[1]s 100)\n", name)
			return false, false
		}
		l.until = n
		if name == "n" {
			l.until += w.Steps()
		}
		return true, false
	case "c":
		l.node = anyNode
		if argument != "" {
			l.node = argument
		}
		return true, false
	case "p":
		l.show(w, argument)
		return false, false
	case "r":
		l.free, l.printing = true, l.asked
		return true, false
	case "q":
		return false, true
	}
	fmt.Fprint(l.out, replayHelp)
	return false, false
}

// show prints the state, or only that of one node.
func (l *lookout) show(w *world.World, node string) {
	var all strings.Builder
	if err := w.Dump(&all); err != nil {
		fmt.Fprintln(l.out, err)
		return
	}
	if node == "" {
		fmt.Fprint(l.out, all.String())
		return
	}
	inside, found := false, false
	for line := range strings.Lines(all.String()) {
		if line[0] != ' ' {
			inside = strings.HasPrefix(line, node+" ")
		}
		if inside {
			found = true
			fmt.Fprint(l.out, line)
		}
	}
	if !found {
		fmt.Fprintf(l.out, "there is no node %s\n", node)
	}
}
