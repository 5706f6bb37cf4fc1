package campaign

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"dkv/sim"
)

// stateHead begins a state file's first line, which also has the SHA-256 of all
// after it: the campaign's document.
const stateHead = "dkvsim campaign state 1 "

func writeState(path string, d *Document) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	whole := fmt.Appendf(nil, "%s%x\n%s\n", stateHead, sha256.Sum256(append(text, '\n')), text)
	if err := writeAtomically(path, whole); err != nil {
		return fmt.Errorf("writing the campaign's state: %w", err)
	}
	return nil
}

// readState is nil if there is no such file. Its error says why a file is not
// the whole state of a campaign.
func readState(path string) (*Document, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the campaign's state: %w", err)
	}
	refuse := func(why string, args ...any) error {
		return fmt.Errorf("%s: %w; name another --state file, or remove this one to start afresh", path, fmt.Errorf(why, args...))
	}
	head, body, _ := bytes.Cut(text, []byte("\n"))
	sum, found := strings.CutPrefix(string(head), stateHead)
	if !found {
		return nil, refuse("not the state of a campaign: the first line does not begin with %q", strings.TrimSpace(stateHead))
	}
	if fmt.Sprintf("%x", sha256.Sum256(body)) != sum {
		return nil, refuse("damaged or truncated: the SHA-256 of its content is not the one in its first line")
	}
	d, err := readDocument(body)
	if err != nil {
		return nil, refuse("%w", err)
	}
	return d, nil
}

// resume takes up what an earlier start of this campaign left in its state file.
// The budget, the jobs and where results go may differ from then: they do not
// change what a run does.
func (c *campaign) resume() error {
	d, err := readState(c.State)
	if err != nil || d == nil {
		return err
	}
	other := differences(&c.doc, d)
	if d.Shards[0] != c.doc.Shards[0] || len(d.Shards) != 1 {
		other = append(other, fmt.Sprintf("shard is %v there, %v here", d.Shards, c.doc.Shards))
	}
	if other != nil {
		return fmt.Errorf("%s is the state of another campaign: %s. Continue it with the program and the flags that it was made with, name another --state file, or remove this one to start afresh",
			c.State, strings.Join(other, "; "))
	}
	sum := sim.NewCampaign(c.Profile)
	err = errors.Join(sum.AddTally(d.Tally), c.seedsLeft.restore(d.Ran, d.Tally.Runs))
	if err != nil {
		return fmt.Errorf("%s: %w; name another --state file, or remove this one to start afresh", c.State, err)
	}
	c.sum = sum
	c.doc.Failures, c.doc.FailuresLeftOut, c.doc.Wall = d.Failures, d.FailuresLeftOut, d.Wall
	c.doc.Run = d.Run
	for _, f := range d.Failures {
		if f.Report != "" {
			c.described++
		}
	}
	if c.Report == "" {
		c.Report = d.Report
	}
	c.say("resuming from %s: %d runs were done in %v%s", c.State, d.Tally.Runs, rounded(d.Wall), sum.Failures())
	return nil
}
