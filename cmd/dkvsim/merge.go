package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dkv/sim"

	"github.com/spf13/cobra"
)

func mergeCommand() *cobra.Command {
	var results string
	cmd := &cobra.Command{
		Use:   "merge (FILE|DIR)…",
		Short: "Add up what the shards of a campaign gave, to one set of tables and one verdict",
		Long: `merge reads the results that the shards of a campaign wrote with dkvsim run --json,
in any order, and prints the tables of the campaign as a whole. A directory stands
for all its files NAME.json.

Shards of different builds, profiles, stores or ranges of seeds are refused, and so
is a shard that is there twice. If a run failed, the status is its class. Otherwise,
if a shard is missing or did not finish, it is 4. Otherwise the whole is judged as
one campaign. With --json the sum is written as a document of the same kind, which
can be merged again.

Exit status; of several classes the worst, which is the first:
` + statusHelp(),
		Example: `  dkvsim merge shard-1.json shard-2.json shard-3.json
  dkvsim merge results --json campaign.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return merge(args, results)
		},
	}
	cmd.Flags().StringVar(&results, "json", "", "write the sum to this file as JSON (-: to the standard output, and the tables to the standard error)")
	return cmd
}

func merge(args []string, results string) error {
	files, err := resultFiles(args, results)
	if err != nil {
		return err
	}
	m, err := mergeFiles(files)
	if err != nil {
		return err
	}
	out := os.Stdout
	if results == "-" {
		out = os.Stderr
	}
	m.doc.print(out, m.sum, " of the longest shard")
	for _, what := range m.lacking() {
		fmt.Fprintln(out, what)
	}
	if results != "" {
		if err := m.doc.write(results, os.Stdout); err != nil {
			return err
		}
	}
	return m.doc.ended()
}

// resultFiles replaces directories by what is in them, but for the merged
// results of an earlier time.
func resultFiles(args []string, results string) ([]string, error) {
	var files []string
	for _, arg := range args {
		stat, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !stat.IsDir() {
			files = append(files, arg)
			continue
		}
		found, err := filepath.Glob(filepath.Join(arg, "*.json"))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(f string) bool { return results != "" && f == filepath.Clean(results) })
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: there is no file NAME.json", arg)
		}
		files = append(files, found...)
	}
	return files, nil
}

// merging is a campaign that is put together of its shards.
type merging struct {
	doc   document
	sum   *sim.Campaign
	files map[uint64]string // by shard
	torn  []uint64          // shards that did not finish
}

func mergeFiles(files []string) (*merging, error) {
	m := &merging{files: make(map[uint64]string)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d, err := readDocument(text)
		if err == nil {
			err = m.add(d, file, files[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	slices.Sort(m.doc.Shards)
	slices.Sort(m.torn)
	slices.SortFunc(m.doc.Ran, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	var otherwise error
	m.doc.Complete = len(m.torn) == 0
	m.doc.Whole = m.doc.Complete && uint64(len(m.doc.Shards)) == m.doc.Plan.Shards
	if !m.doc.Whole && len(m.sum.Fired()) == 0 {
		otherwise = unfinished
	}
	m.doc.conclude(m.sum, otherwise)
	return m, nil
}

// add takes the results of a file, or says why they are not of this campaign,
// which the first file is the measure of.
func (m *merging) add(d *document, file, first string) error {
	if m.sum == nil {
		m.sum = sim.NewCampaign(d.Plan.Profile)
		m.doc = document{Version: documentVersion, Kind: documentKind, Build: d.Build, Flags: map[string]string{}, Plan: d.Plan}
	}
	if other := differences(&m.doc, d); other != nil {
		return fmt.Errorf("it is of another campaign than %s (here): %s", first, strings.Join(other, "; "))
	}
	for _, shard := range d.Shards {
		if was, twice := m.files[shard]; twice {
			return fmt.Errorf("shard %d is counted already: it is in %s too", shard, was)
		}
		m.files[shard] = file
	}
	if err := d.fitsShards(); err != nil {
		return err
	}
	if err := m.sum.AddTally(d.Tally); err != nil {
		return fmt.Errorf("%w: merge with the program that wrote it", err)
	}
	m.doc.Shards = append(m.doc.Shards, d.Shards...)
	m.doc.Ran = append(m.doc.Ran, d.Ran...)
	m.doc.FailuresLeftOut += d.FailuresLeftOut
	m.doc.keep(d.Failures...)
	m.doc.Wall = max(m.doc.Wall, d.Wall)
	if !d.Complete {
		m.torn = append(m.torn, d.Shards...)
	}
	return nil
}

// fitsShards refuses seeds that are not of the document's shards, or that are
// counted twice or not at all.
func (d *document) fitsShards() error {
	total := uint64(0)
	last := make(map[uint64]uint64) // seed of each shard
	for _, r := range d.Ran {
		shard := (r.From-d.Plan.From)%d.Plan.Shards + 1
		if r.Step != d.Plan.Shards || r.From > r.To || r.From < d.Plan.From || r.To > d.Plan.To || !slices.Contains(d.Shards, shard) {
			return fmt.Errorf("it ran seeds %d to %d, which are not of its shards %v", r.From, r.To, d.Shards)
		}
		if to, ran := last[shard]; ran && r.From <= to {
			return fmt.Errorf("it ran seed %d twice", r.From)
		}
		last[shard] = r.To
		total += r.count()
	}
	if total != uint64(d.Tally.Runs) {
		return fmt.Errorf("it counts %d runs, and ran %d seeds", d.Tally.Runs, total)
	}
	return nil
}

// lacking says what keeps the campaign from being whole.
func (m *merging) lacking() []string {
	var all []string
	var missing []string
	for shard := uint64(1); shard <= m.doc.Plan.Shards && len(missing) < maxListed; shard++ {
		if m.files[shard] == "" {
			missing = append(missing, fmt.Sprint(shard))
		}
	}
	if missing != nil {
		all = append(all, fmt.Sprintf("of %d shards these are missing: %s", m.doc.Plan.Shards, strings.Join(missing, ", ")))
	}
	for _, shard := range m.torn {
		all = append(all, fmt.Sprintf("shard %d did not finish: %s", shard, m.files[shard]))
	}
	if all != nil {
		all = append(all, "so zeros are not judged")
	}
	return all
}
