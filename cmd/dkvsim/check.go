package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"dkv/linearizability"
	"dkv/linearizability/etcd"
	"dkv/linearizability/jepsen"
	"dkv/sim/campaign"

	"github.com/spf13/cobra"
)

// checkConfig holds the flags of check.
type checkConfig struct {
	format string
	model  string
	steps  int
	budget time.Duration // 0: steps says it
	memory int           // in MiB
	page   string        // file for the HTML report; "": no report
	// casFail is the meaning of Jepsen's :cas that fails without a reason.
	casFail    string
	allowEmpty bool

	in io.Reader // what the file name - stands for

	// bar is where progress is drawn; nil if stderr is not a terminal.
	bar io.Writer
}

func checkCommand() *cobra.Command {
	var c checkConfig
	cmd := &cobra.Command{
		Use:   "check HISTORY…",
		Short: "Check recorded histories for linearizability",
		Long: `check reads recorded histories and decides for each one whether it is
linearizable: whether all answers can be explained by operations that each take
effect at one instant between call and return, one key at a time.

A file may be compressed with gzip or zstd; - is standard input.

Formats (--format), by default recognized from the content:
` + describeFormats() + `
Models (--model), by default chosen by the format:
  register    a key is absent at first; put, get, append, delete, and conditions
              on the version, on absence and on the value
  text        a key holds a text, which is empty at first; an absent key and an
              empty text are the same: Jepsen's :get, :put and :append

A search that is hard takes up to --steps steps for each key, by default as many
as take about half a minute, and remembers at most --memory MiB for each key that
is being searched (one a core). --budget 2m allows about two minutes instead.

In Jepsen's formats a :cas that fails without a reason was not applied (--cas-fail
not-applied). If the store fails a :cas only because it met another value, --cas-fail
met lets the checker use that. It is the default for Jepsen's log lines alone.

Exit status, the greatest of all files:
  0  linearizable
  1  not linearizable
  2  undecided within the step budget, or no operation has an answer
     (--allow-empty accepts that)
  3  an invalid history (the error names line and column), a history without any
     operation, or an invalid command`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if isTerminal(os.Stderr) {
				c.bar = os.Stderr
			}
			c.in = cmd.InOrStdin()
			if cmd.Flags().Changed("steps") && cmd.Flags().Changed("budget") {
				c.budget = -1
			}
			return check(cmd.OutOrStdout(), cmd.ErrOrStderr(), files, c)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		fmt.Fprintln(cmd.ErrOrStderr(), "dkvsim: check:", err)
		return campaign.Status(linearizability.ExitBadInput)
	})
	cmd.Flags().StringVar(&c.format, "format", "auto", formatNames())
	cmd.Flags().StringVar(&c.model, "model", "auto", "auto, register or text")
	cmd.Flags().StringVar(&c.page, "html", "", "write an HTML report to this file")
	cmd.Flags().IntVar(&c.steps, "steps", linearizability.DefaultStepBudget, "step budget of the search for each key")
	cmd.Flags().DurationVar(&c.budget, "budget", 0, "the same as a time on one core, such as 2m (approximate: the verdict depends on no clock)")
	cmd.Flags().IntVar(&c.memory, "memory", linearizability.DefaultMemoryBudget>>20, "MiB that the search for each key may remember")
	cmd.Flags().StringVar(&c.casFail, "cas-fail", "auto", "what Jepsen's :cas means that fails without a reason: auto, not-applied or met")
	cmd.Flags().BoolVar(&c.allowEmpty, "allow-empty", false, "accept a history in which no operation has an answer")
	return cmd
}

// check checks every file. It writes results to out and errors to errs.
func check(out, errs io.Writer, files []string, c checkConfig) error {
	worst := linearizability.ExitLinearizable
	formats, err := c.formats()
	if err := errors.Join(err, c.validate(files)); err != nil {
		fmt.Fprintln(errs, "dkvsim: check:", err)
		return campaign.Status(linearizability.ExitBadInput)
	}
	for _, file := range files {
		status, err := c.report(out, file, formats)
		if err != nil {
			fmt.Fprintln(errs, "dkvsim:", err)
			status = linearizability.ExitBadInput
		}
		worst = max(worst, status)
	}
	if worst != linearizability.ExitLinearizable {
		return campaign.Status(worst)
	}
	return nil
}

// report checks one file and writes its result.
func (c *checkConfig) report(out io.Writer, file string, formats []linearizability.Format) (linearizability.ExitStatus, error) {
	r, err := c.checkFile(file, formats)
	if err != nil {
		return 0, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", nameOf(file))
	status := r.result.ExitStatus()
	if status == linearizability.ExitLinearizable && !c.allowEmpty && !anyAnswer(r.recording.Operations) {
		status = linearizability.ExitUndecided
		fmt.Fprintf(&b, "undecided: none of its %d operations has an answer, so that it shows nothing (--allow-empty accepts it)\n", len(r.recording.Operations))
	} else if err := r.result.WriteText(&b); err != nil {
		return 0, err
	}
	for _, warning := range r.recording.Warnings {
		fmt.Fprintf(&b, "  warning: %s\n", warning)
	}
	if r.rests {
		b.WriteString("  this verdict rests on --cas-fail met: if a :cas that failed without a reason was only not applied, the history is linearizable\n")
	}
	_, err = io.WriteString(out, b.String())
	return status, err
}

// nameOf returns the name of a file for people.
func nameOf(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

func anyAnswer(history []linearizability.Operation) bool {
	return slices.ContainsFunc(history, func(op linearizability.Operation) bool { return op.Outcome == linearizability.OK })
}

// historyFormats are the formats of histories that check reads.
func historyFormats(fail jepsen.CASFail) []linearizability.Format {
	return append([]linearizability.Format{linearizability.JSONLines, etcd.Operations}, jepsen.Formats(fail)...)
}

// casFails are the values of --cas-fail.
var casFails = map[string]jepsen.CASFail{"auto": jepsen.CASFailAsUsual, "not-applied": jepsen.CASFailNotApplied, "met": jepsen.CASFailMet}

// describeFormats returns a line of help for each format.
func describeFormats() string {
	var b strings.Builder
	for _, f := range historyFormats(jepsen.CASFailAsUsual) {
		fmt.Fprintf(&b, "  %-15s %s\n", f.Name, f.About)
	}
	return b.String()
}

// formatNames returns the values of --format, such as "auto, a or b".
func formatNames() string {
	names := []string{"auto"}
	for _, f := range historyFormats(jepsen.CASFailAsUsual) {
		names = append(names, f.Name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// formats returns the formats that --format allows.
func (c *checkConfig) formats() ([]linearizability.Format, error) {
	all := historyFormats(casFails[c.casFail])
	if c.format == "auto" {
		return all, nil
	}
	for _, f := range all {
		if f.Name == c.format {
			return []linearizability.Format{f}, nil
		}
	}
	return nil, fmt.Errorf("--format: unknown format %q (want %s)", c.format, formatNames())
}

func (c *checkConfig) validate(files []string) error {
	if len(files) == 0 {
		return errors.New("no file to check: name at least one")
	}
	if c.page != "" && len(files) > 1 {
		return errors.New("--html needs exactly one file")
	}
	if c.steps <= 0 {
		return fmt.Errorf("invalid --steps %d: want at least 1", c.steps)
	}
	if c.budget < 0 {
		return errors.New("--budget and --steps limit the same: give one of them, and more than 0")
	}
	if c.memory <= 0 {
		return fmt.Errorf("invalid --memory %d: want at least 1", c.memory)
	}
	if _, known := casFails[c.casFail]; !known {
		return fmt.Errorf("unknown --cas-fail %q (want auto, not-applied or met)", c.casFail)
	}
	if c.model != "auto" {
		if _, err := linearizability.ParseModel(c.model); err != nil {
			return fmt.Errorf("--model: %w", err)
		}
	}
	return nil
}

// A checked is a file with its verdict.
type checked struct {
	recording *linearizability.Recording
	result    *linearizability.Result
	// rests: the history is not linearizable only because of what was inferred from
	// a failed :cas.
	rests bool
}

func (c *checkConfig) checkFile(file string, formats []linearizability.Format) (*checked, error) {
	recording, err := c.read(file, formats)
	if err != nil {
		return nil, err
	}
	if len(recording.Operations) == 0 {
		return nil, fmt.Errorf("%s: no operation: there is nothing to check", nameOf(file))
	}
	options := linearizability.Options{Model: recording.Model, StepBudget: c.steps, MemoryBudget: c.memory << 20}
	if c.budget > 0 {
		options.StepBudget = max(1, int(c.budget.Seconds()*linearizability.StepsPerSecond))
	}
	if c.model != "auto" {
		if options.Model, err = linearizability.ParseModel(c.model); err != nil {
			return nil, err
		}
	}
	checking := newProgress(c.bar, "checking "+nameOf(file), int64(len(recording.Operations)))
	options.Progress, options.Searched = checking.add, checking.step
	r := &checked{recording: recording}
	r.result, err = linearizability.Check(recording.Operations, options)
	checking.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(file), err)
	}
	if r.result.Verdict == linearizability.Illegal && len(recording.Inferred) > 0 {
		r.rests = holdsWithout(recording, options)
	}
	if c.page != "" {
		err = writeResultPage(c.page, nameOf(file), recording, r.result)
	}
	return r, err
}

// read reads a file, or standard input.
func (c *checkConfig) read(file string, formats []linearizability.Format) (*linearizability.Recording, error) {
	reading := newProgress(c.bar, "reading "+nameOf(file), sizeOf(file))
	defer reading.end()
	options := linearizability.ReadOptions{Formats: formats, Progress: reading.add}
	if file != "-" {
		return linearizability.ReadRecordingFile(file, options)
	}
	recording, err := linearizability.ReadRecording(c.in, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(file), err)
	}
	return recording, nil
}

// holdsWithout reports whether the history is linearizable if the operations whose
// answers were inferred were only not applied.
func holdsWithout(recording *linearizability.Recording, o linearizability.Options) bool {
	weaker := slices.Clone(recording.Operations)
	for _, i := range recording.Inferred {
		weaker[i].Outcome, weaker[i].Answer = linearizability.Refused, linearizability.Answer{}
	}
	o.VerdictOnly, o.Progress, o.Searched = true, nil, nil
	r, err := linearizability.Check(weaker, o)
	return err == nil && r.Verdict == linearizability.Linearizable
}

// sizeOf returns the size of a file, or 0 if it is unknown.
func sizeOf(file string) int64 {
	stat, err := os.Stat(file)
	if err != nil || !stat.Mode().IsRegular() {
		return 0
	}
	return stat.Size()
}
