package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dkv/linearizability"
	"dkv/linearizability/jepsen"
	"dkv/sim/campaign"

	"github.com/spf13/cobra"
)

// checkConfig holds the flags of check.
type checkConfig struct {
	format string
	model  string
	steps  int
	page   string // file for the HTML report; "": no report

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

Formats (--format), by default recognized from the content:
` + describeFormats() + `
Models (--model), by default chosen by the format:
  register    a key is absent at first; put, get, append, delete, and conditions
              on the version, on absence and on the value
  text        a key holds a text, which is empty at first; an absent key and an
              empty text are the same: Jepsen's :get, :put and :append

Exit status, the greatest of all files:
  0  linearizable
  1  not linearizable
  2  undecided within the step budget
  3  an invalid history (the error names line and column) or an invalid command`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if isTerminal(os.Stderr) {
				c.bar = os.Stderr
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
		result, err := c.checkFile(file, formats)
		if err != nil {
			fmt.Fprintln(errs, "dkvsim:", err)
			worst = max(worst, linearizability.ExitBadInput)
			continue
		}
		worst = max(worst, result.ExitStatus())
		if _, err := fmt.Fprintf(out, "%s: ", file); err != nil {
			return err
		}
		if err := result.WriteText(out); err != nil {
			return err
		}
	}
	if worst != linearizability.ExitLinearizable {
		return campaign.Status(worst)
	}
	return nil
}

// historyFormats are the formats of histories that check reads.
var historyFormats = []linearizability.Format{linearizability.JSONLines, jepsen.Log, jepsen.EDN}

// describeFormats returns a line of help for each format.
func describeFormats() string {
	var b strings.Builder
	for _, f := range historyFormats {
		fmt.Fprintf(&b, "  %-11s %s\n", f.Name, f.About)
	}
	return b.String()
}

// formatNames returns the values of --format, such as "auto, a or b".
func formatNames() string {
	names := []string{"auto"}
	for _, f := range historyFormats {
		names = append(names, f.Name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// formats returns the formats that --format allows.
func (c *checkConfig) formats() ([]linearizability.Format, error) {
	if c.format == "auto" {
		return historyFormats, nil
	}
	for _, f := range historyFormats {
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
	if c.model != "auto" {
		if _, err := linearizability.ParseModel(c.model); err != nil {
			return fmt.Errorf("--model: %w", err)
		}
	}
	return nil
}

func (c *checkConfig) checkFile(file string, formats []linearizability.Format) (*linearizability.Result, error) {
	reading := newProgress(c.bar, "reading "+file, sizeOf(file))
	recording, err := linearizability.ReadRecordingFile(file, linearizability.ReadOptions{Formats: formats, Progress: reading.add})
	reading.end()
	if err != nil {
		return nil, err
	}
	model := recording.Model
	if c.model != "auto" {
		if model, err = linearizability.ParseModel(c.model); err != nil {
			return nil, err
		}
	}
	checking := newProgress(c.bar, "checking "+file, int64(len(recording.Operations)))
	result, err := linearizability.Check(recording.Operations, linearizability.Options{Model: model, StepBudget: c.steps, Progress: checking.add})
	checking.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if c.page != "" {
		err = writeResultPage(c.page, file, recording, result)
	}
	return result, err
}

// sizeOf returns the size of a file, or 0 if it is unknown.
func sizeOf(file string) int64 {
	stat, err := os.Stat(file)
	if err != nil || !stat.Mode().IsRegular() {
		return 0
	}
	return stat.Size()
}
