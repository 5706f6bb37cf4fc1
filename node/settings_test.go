package node

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/ring"
)

// Settings: nodes follow the cluster's record, and an operator changes it.

const clusterPath = "/dkv/default/cluster"

// record changes the cluster's record by an outside hand. Fields are JSON.
func (s *setup) record(fields string) {
	s.t.Helper()
	data := `{"uuid":"c0ffee","expect":3,"partitions":1,"replication":3` + fields + `}`
	s.zk.put(clusterPath, []byte(data), s.zk.znodes[clusterPath].version+1)
	s.zk.changed(clusterPath)
	s.pass(suspect)
}

// lastNotice returns the last notice that has these words.
func (s *setup) noticed(words string) bool {
	for _, e := range s.events {
		if e.Kind == EventNotice && strings.Contains(e.Text, words) {
			return true
		}
	}
	return false
}

// set gives the node a command, and returns the answers that it got.
func (s *setup) set(name, value string) *[]MemberAnswer {
	answers := &[]MemberAnswer{}
	s.node.OnSettingCommand(SettingCommand{name, value}, func(a MemberAnswer) { *answers = append(*answers, a) })
	s.settle()
	return answers
}

func (s *setup) wantAnswer(answers *[]MemberAnswer, outcome door.Outcome, words string) {
	s.t.Helper()
	if len(*answers) != 1 || (*answers)[0].Outcome != outcome || !strings.Contains((*answers)[0].Reason, words) {
		s.t.Fatalf("answers %+v, want one: %v with %q", *answers, outcome, words)
	}
}

// TestNodesFollowTheRecord checks rule "settings stand in the record": a node whose flags
// differ takes the record's values, also while it runs, and says so.
func TestNodesFollowTheRecord(t *testing.T) {
	s := clusterOf(t, Config{SuspectAfter: 300 * time.Millisecond}, three, 2, 3)
	old := Settings{Ring: 1, SuspectAfter: 300 * time.Millisecond, DriftPPM: 500}
	if got := s.node.Status(false).Settings; got != old {
		t.Fatalf("under an older build's record: %+v, want %+v", got, old)
	}
	s.record(`,"ring":2,"suspectAfter":700000000,"driftPPM":90`)
	want := Settings{Ring: 2, Zones: ring.Strict, SuspectAfter: 700 * time.Millisecond, DriftPPM: 90}
	if got := s.node.Status(false).Settings; got != want {
		t.Errorf("settings %+v, want %+v", got, want)
	}
	if s.saw(EventRuleChanged) != 1 || !s.noticed("--suspect-after=300ms is not used") || !s.noticed("--max-drift=500 is not used") {
		t.Errorf("%d changes of the rule, and not all notices", s.saw(EventRuleChanged))
	}
	s.record("")
	if got := s.node.Status(false).Settings; got != old {
		t.Errorf("with an older build's record again: %+v, want %+v", got, old)
	}
}

// TestAChangeOfTheRecordIsNotMissed: it may come while the node tells ZooKeeper its stamp.
func TestAChangeOfTheRecordIsNotMissed(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	s.slowZookeeper = true
	s.node.tellRecord()
	if !s.node.member.busy {
		t.Fatal("nothing is told")
	}
	s.zk.put(clusterPath, []byte(`{"uuid":"c0ffee","expect":3,"partitions":1,"replication":3,"ring":2}`), s.zk.znodes[clusterPath].version+1)
	s.node.onChanged(clusterPath)
	s.slowZookeeper = false
	s.settle()
	if got := s.node.Status(false).Settings.Ring; got != 2 {
		t.Errorf("the node places by version %d", got)
	}
}

// TestARuleThatThisBuildDoesNotKnowPlacesNothing: it may be any.
func TestARuleThatThisBuildDoesNotKnowPlacesNothing(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	if s.node.preferred(0) == 0 {
		t.Fatal("version 1 places nothing")
	}
	s.record(`,"ring":3`)
	if got := s.node.preferred(0); got != 0 || s.node.target(0) != nil {
		t.Errorf("version 3 prefers member %d", got)
	}
	if s.failed != nil || !strings.Contains(s.lastAlarm(), "version 3 of the ring's rule, this build knows 1 and 2") {
		t.Errorf("failed %v, alarm %q", s.failed, s.lastAlarm())
	}
	s.record(`,"ring":2`)
	if s.node.preferred(0) == 0 {
		t.Error("version 2 places nothing afterwards")
	}
}

// TestASettingOutOfBoundsIsNotFollowed: a suspect-after of 3 ns would keep a node busy with
// ticks alone.
func TestASettingOutOfBoundsIsNotFollowed(t *testing.T) {
	for _, c := range []struct{ fields, says string }{
		{`,"ring":2,"suspectAfter":3`, "suspect-after=3ns"},
		{`,"ring":2,"suspectAfter":-1000000000`, "suspect-after=-1s"},
		{`,"ring":2,"driftPPM":-1`, "max-drift=-1"},
	} {
		s := clusterOf(t, Config{}, three, 2, 3)
		before := s.node.cfg
		s.record(c.fields)
		if s.failed != nil || !strings.Contains(s.lastAlarm(), c.says) || s.node.cfg != before {
			t.Errorf("%s: failed %v, alarm %q, suspect-after %v", c.fields, s.failed, s.lastAlarm(), s.node.cfg.SuspectAfter)
		}
	}
}

// TestAChangeOfASettingIsConditional checks rule "settings stand in the record": a change
// leaves the rest of the record as it is, also what a newer build wrote.
func TestAChangeOfASettingIsConditional(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	s.record(`,"later":{"a":[1,2]}`)
	s.wantAnswer(s.set("ring", "2"), door.Done, "ring is 2")
	s.wantAnswer(s.set("suspect-after", "250ms"), door.Done, "suspect-after is 250ms")
	s.wantAnswer(s.set("suspect-after", "250ms"), door.Done, "already")
	s.wantAnswer(s.set("zones", "prefer"), door.Done, "zones is prefer")
	var got map[string]any
	if err := json.Unmarshal(s.zk.znodes[clusterPath].data, &got); err != nil {
		t.Fatal(err)
	}
	const want = "map[expect:3 later:map[a:[1 2]] partitions:1 replication:3 ring:2 suspectAfter:2.5e+08 uuid:c0ffee zones:prefer]"
	if fmt.Sprint(got) != want {
		t.Errorf("the record is %v, want %s", got, want)
	}
	if got := s.node.Status(false).Settings; got.Ring != 2 || got.Zones != ring.Prefer || got.SuspectAfter != 250*time.Millisecond {
		t.Errorf("this node follows %+v", got)
	}
}

func TestSettingsOfTwoOperatorsMeet(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	s.slowZookeeper = true
	answers := s.set("ring", "2")
	s.zk.answer() // the reading; the other operator is faster
	s.zk.put(clusterPath, []byte(`{"uuid":"c0ffee","expect":3,"partitions":1,"replication":3,"driftPPM":77}`), 9)
	s.slowZookeeper = false
	s.settle()
	s.wantAnswer(answers, door.Done, "ring is 2")
	if data := string(s.zk.znodes[clusterPath].data); !strings.Contains(data, `"driftPPM":77`) || !strings.Contains(data, `"ring":2`) {
		t.Errorf("one change overwrote the other: %s", data)
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	for _, c := range []struct{ name, value, want string }{
		{"ring", "3", "want version 1 or 2"},
		{"ring", "", "want version 1 or 2"},
		{"zones", "strict", "set ring=2 first"},
		{"zones", "off", "want strict or prefer"},
		{"suspect-after", "5", "want a duration from 1ms to 10m0s"},
		{"suspect-after", "1h", "want a duration from 1ms to 10m0s"},
		{"max-drift", "0", "want 1 to 100000"},
		{"partitions", "9", `no setting "partitions"`},
	} {
		s.wantAnswer(s.set(c.name, c.value), door.Refused, c.want)
	}
	if v := s.zk.znodes[clusterPath].version; v != 0 {
		t.Errorf("the record has version %d", v)
	}
}

// TestASettingWithoutAnAnswer: unknown if it may have been made, else refused.
func TestASettingWithoutAnAnswer(t *testing.T) {
	for _, c := range []struct {
		what    string
		outcome door.Outcome
	}{{"get " + clusterPath, door.Refused}, {"multi set " + clusterPath, door.Unknown}} {
		s := clusterOf(t, Config{}, three, 2, 3)
		s.zk.fault = func(what string) (bool, error) {
			if what == c.what {
				return true, door.ErrUnknownOutcome
			}
			return false, nil
		}
		s.wantAnswer(s.set("ring", "2"), c.outcome, "ZooKeeper did not answer")
	}
	s := clusterOf(t, Config{RequestTimeout: 2 * time.Second}, three, 2, 3)
	s.slowZookeeper = true
	answers := s.set("ring", "2")
	s.pass(3 * time.Second)
	s.wantAnswer(answers, door.Refused, "in time")
	s.node.OnSettingCommand(SettingCommand{"ring", "2"}, func(a MemberAnswer) { *answers = append((*answers)[:0], a) })
	s.node.Stop(func() {})
	s.settle()
	s.slowZookeeper = false
	s.pass(20 * time.Second)
	s.wantAnswer(answers, door.Refused, "stopping")
}
