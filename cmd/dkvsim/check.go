package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dkv/linearizability"
	"dkv/linearizability/jepsen"

	"github.com/spf13/cobra"
)

// checkConfig is what the flags of check say.
type checkConfig struct {
	format string
	model  string
	steps  int
	page   string // where the result goes as a page; "": nowhere

	// Progress goes to bar, if anybody looks at it; nil: nobody does.
	bar io.Writer
}

func checkCommand() *cobra.Command {
	var c checkConfig
	cmd := &cobra.Command{
		Use:   "check HISTORY…",
		Short: "Check recorded histories for linearizability",
		Long: `check reads histories and says of each whether one register per key, taking
effect at one instant inside each operation, explains all of its answers.

Formats (--format), told from the content unless one is named:
` + describeFormats() + `
Models (--model), told from the format unless one is named:
  register    a key is absent at first; put, get, append, delete, and conditions
              on the version, on absence and on the value
  text        every key holds a text, at first the empty one, and to be absent is
              to hold that: Jepsen's :get, :put and :append

Exit status, the greatest of all files: 0 linearizable, 1 not linearizable,
2 undecided within the budget of steps, 3 a file that is no history (the message
names line and column), or a mistake in the command.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if isTerminal(os.Stderr) {
				c.bar = os.Stderr
			}
			return check(cmd.OutOrStdout(), cmd.ErrOrStderr(), files, c)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		fmt.Fprintln(cmd.ErrOrStderr(), "dkvsim: check:", err)
		return exitStatus(linearizability.ExitBadInput)
	})
	cmd.Flags().StringVar(&c.format, "format", "auto", formatNames())
	cmd.Flags().StringVar(&c.model, "model", "auto", "auto, register or text")
	cmd.Flags().StringVar(&c.page, "html", "", "write the result to this file as a page for a browser")
	cmd.Flags().IntVar(&c.steps, "steps", linearizability.DefaultStepBudget, "how many steps the search may take on one key")
	return cmd
}

// check checks every file and reports each to out, what went wrong to errs.
func check(out, errs io.Writer, files []string, c checkConfig) error {
	worst := linearizability.ExitLinearizable
	formats, err := c.formats()
	if err := errors.Join(err, c.validate(files)); err != nil {
		fmt.Fprintln(errs, "dkvsim: check:", err)
		return exitStatus(linearizability.ExitBadInput)
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
		return exitStatus(worst)
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
		return errors.New("name at least one file")
	}
	if c.page != "" && len(files) > 1 {
		return errors.New("--html shows one history: name one file")
	}
	if c.steps <= 0 {
		return fmt.Errorf("--steps %d: a search needs at least one step", c.steps)
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

// sizeOf is how many bytes a file has; 0 if that is not known.
func sizeOf(file string) int64 {
	stat, err := os.Stat(file)
	if err != nil || !stat.Mode().IsRegular() {
		return 0
	}
	return stat.Size()
}
