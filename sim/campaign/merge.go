package campaign

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dkv/sim"
)

// Merge adds up the results of shards, which are files or directories of files,
// and prints the tables and the verdict. With results it also writes the sum
// there as JSON; "-" stands for stdout, and the tables go to stderr. The error is
// a Status unless the files do not fit together.
func Merge(args []string, results string, stdout, stderr io.Writer) error {
	files, err := resultFiles(args, results)
	if err != nil {
		return err
	}
	m, err := mergeFiles(files)
	if err != nil {
		return err
	}
	out := stdout
	if results == "-" {
		out = stderr
	}
	m.doc.print(out, m.sum, " of the longest shard")
	for _, what := range m.lacking() {
		fmt.Fprintln(out, what)
	}
	if results != "" {
		if err := m.doc.write(results, stdout); err != nil {
			return err
		}
	}
	return m.doc.ended()
}

// resultFiles replaces directories by the files in them, except for the merged
// results of an earlier run.
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
			return nil, fmt.Errorf("%s: no *.json files in this directory", arg)
		}
		files = append(files, found...)
	}
	return files, nil
}

// merging is a campaign that is put together from its shards.
type merging struct {
	doc   Document
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
	slices.SortFunc(m.doc.Ran, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var otherwise error
	m.doc.Complete = len(m.torn) == 0
	m.doc.Whole = m.doc.Complete && uint64(len(m.doc.Shards)) == m.doc.Plan.Shards
	if !m.doc.Whole && len(m.sum.Fired()) == 0 {
		otherwise = Unfinished
	}
	m.doc.conclude(m.sum, otherwise)
	return m, nil
}

// add adds the results of a file. They must be of the same campaign as those of
// the first file.
func (m *merging) add(d *Document, file, first string) error {
	if m.sum == nil {
		m.sum = sim.NewCampaign(d.Plan.Profile)
		m.doc = Document{Version: documentVersion, Kind: documentKind, Build: d.Build, Flags: map[string]string{}, Plan: d.Plan}
	}
	if other := differences(&m.doc, d); other != nil {
		return fmt.Errorf("not of the same campaign as %s (here): %s", first, strings.Join(other, "; "))
	}
	for _, shard := range d.Shards {
		if was, twice := m.files[shard]; twice {
			return fmt.Errorf("shard %d is counted already: %s has it too", shard, was)
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

// fitsShards refuses seeds that do not belong to the document's shards, and seeds
// that are counted twice or not at all.
func (d *Document) fitsShards() error {
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

// lacking lists what keeps the campaign from being whole.
func (m *merging) lacking() []string {
	var all []string
	var missing []string
	for shard := uint64(1); shard <= m.doc.Plan.Shards && len(missing) < maxListed; shard++ {
		if m.files[shard] == "" {
			missing = append(missing, fmt.Sprint(shard))
		}
	}
	if missing != nil {
		all = append(all, fmt.Sprintf("missing shards (of %d): %s", m.doc.Plan.Shards, strings.Join(missing, ", ")))
	}
	for _, shard := range m.torn {
		all = append(all, fmt.Sprintf("shard %d did not finish: %s", shard, m.files[shard]))
	}
	if all != nil {
		all = append(all, "so coverage is not judged")
	}
	return all
}
