package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dkv/sim/campaign"

	"github.com/spf13/cobra"
)

// manifest is the text of a file in deploy.
func manifest(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manifestArgs are the arguments that a manifest passes, of the pod with this
// index.
func manifestArgs(t *testing.T, text string, index int) []string {
	t.Helper()
	var args []string
	inside := false
	for line := range strings.Lines(text) {
		item, isItem := strings.CutPrefix(strings.TrimSpace(line), "- ")
		switch {
		case strings.TrimSpace(line) == "args:":
			inside = true
		case inside && isItem:
			args = append(args, strings.ReplaceAll(item, "$(JOB_COMPLETION_INDEX)", strconv.Itoa(index)))
		case inside:
			return args
		}
	}
	t.Fatal("there are no args")
	return nil
}

// found is what the pattern's group matches, everywhere.
func found(text, pattern string) []string {
	var all []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// parsed has a command parse the arguments of a manifest.
func parsed(t *testing.T, cmd *cobra.Command, args []string) *cobra.Command {
	t.Helper()
	if args[0] != cmd.Name() {
		t.Fatalf("the command is %s, want %s", args[0], cmd.Name())
	}
	if err := cmd.ParseFlags(args[1:]); err != nil {
		t.Fatal(err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// planned returns what the arguments of dkvsim run ask for.
func planned(args []string) (campaign.Plan, uint64, error) {
	var o campaign.Options
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		return campaign.Plan{}, 0, err
	}
	return o.Plan()
}

func TestManifestRunsAllShards(t *testing.T) {
	text := manifest(t, "campaign.yaml")
	completions, err := strconv.Atoi(strings.Join(found(text, `(?m)^  completions: (\d+)`), " "))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]bool)
	var firsts []uint64
	for index := range completions {
		args := manifestArgs(t, text, index)
		flag := func(name string) string { return parsed(t, runCommand(), args).Flag(name).Value.String() }
		plan, shard, err := planned(args[1:])
		if err != nil {
			t.Fatal(err)
		}
		if plan.Shards != uint64(completions) {
			t.Errorf("%d shards and %d completions", plan.Shards, completions)
		}
		firsts = append(firsts, plan.From+shard-1)
		for _, name := range []string{"state", "json"} {
			if file := flag(name); !strings.HasPrefix(file, "/campaign/") || files[file] {
				t.Errorf("pod %d: --%s %s is not on the volume, or another's", index, name, file)
			} else {
				files[file] = true
			}
		}
	}
	for i, first := range firsts {
		if first != uint64(i+1) {
			t.Errorf("pods begin with the seeds %v", firsts)
			break
		}
	}
	jobs := parsed(t, runCommand(), manifestArgs(t, text, 0)).Flag("jobs").Value.String()
	if cpus := found(text, ` cpu: "(\d+)"`); !slices.Equal(cpus, []string{jobs, jobs}) {
		t.Errorf("--jobs %s on %v cores", jobs, cpus)
	}
}

// A stopped shard is continued; one that found a bug, or cannot run, is not.
func TestManifestRetriesWhatWasStopped(t *testing.T) {
	var again, never []string
	for _, s := range campaign.Statuses() {
		switch s {
		case 0:
		case campaign.Unfinished:
			again = append(again, fmt.Sprint(int(s)))
		default:
			never = append(never, fmt.Sprint(int(s)))
		}
	}
	text := manifest(t, "campaign.yaml")
	want := []string{strings.Join(again, ", "), strings.Join(never, ", ")}
	if got := found(text, `values: \[(.*)\]`); !slices.Equal(got, want) {
		t.Errorf("the lists of statuses are %q, want %q", got, want)
	}
	if got := found(text, `action: (.*)`); !slices.Equal(got, []string{"Ignore", "Ignore", "FailIndex"}) {
		t.Errorf("the actions are %v", got)
	}
}

func TestManifestMergesWhatTheShardsWrote(t *testing.T) {
	text := manifest(t, "merge.yaml")
	cmd := parsed(t, mergeCommand(), manifestArgs(t, text, 0))
	if args := cmd.Flags().Args(); !slices.Equal(args, []string{"/campaign"}) {
		t.Errorf("it merges %v", args)
	}
	shards := manifest(t, "campaign.yaml")
	for _, same := range []string{`claimName: (.*)`, `mountPath: (.*)`, `image: (.*)`, `runAsUser: (.*)`} {
		if here, there := found(text, same), found(shards, same); len(here) != 1 || !slices.Equal(here, there) {
			t.Errorf("%s is %v of merge and %v of the campaign", same, here, there)
		}
	}
}
