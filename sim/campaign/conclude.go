package campaign

import (
	"fmt"
	"io"
	"os"
	"time"

	"dkv/sim"
)

// Conclude prints the line of a single run and, if it failed, its report. The
// error is the status of its worst class.
func Conclude(o Options, r *sim.Result, wall time.Duration) error {
	fmt.Fprintln(o.Stdout, r.Line(wall))
	if len(r.Classes) == 0 {
		if o.Tables {
			sum := sim.NewCampaign(o.Profile)
			sum.Add(r, wall)
			fmt.Fprint(o.Stdout, sum.Tables())
		}
		return nil
	}
	describe(o, o.Stdout, r)
	return StatusOf(r.Classes)
}

// describe writes the files of a failed run below the report directory, or a new
// one, and prints its description. It returns that directory and the files.
func describe(o Options, out io.Writer, r *sim.Result) (string, sim.Report) {
	if o.Shrink {
		small, counts := Minimise(r, o.Jobs, time.Minute, o.Stderr)
		fmt.Fprintf(out, "shrunk %v\n", counts)
		r = small
	}
	return Describe(out, o.Stderr, r, o.Profile, o.Report)
}

// Describe writes the files of a failed run below the directory, or below a new
// one if it is "", and prints the description of the run. It returns the
// directory and the files.
func Describe(out, messages io.Writer, r *sim.Result, profile, dir string) (string, sim.Report) {
	if dir == "" {
		made, err := os.MkdirTemp("", "dkv-sim-")
		if err != nil {
			fmt.Fprintln(messages, "dkvsim:", err)
			return "", sim.Report{}
		}
		dir = made
	}
	report, err := sim.WriteReport(dir, r)
	if err != nil {
		fmt.Fprintln(messages, "dkvsim:", err)
	}
	fmt.Fprint(out, sim.Failure(r, profile, report))
	return dir, report
}
