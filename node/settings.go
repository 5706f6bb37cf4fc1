package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dkv/node/door"
	"dkv/node/ring"
)

// How the settings that all nodes share stand in the cluster's record in ZooKeeper:
//
//	checkCluster ─▶ onCluster ─▶ follow            each session, and at each change
//	OnSettingCommand ─▶ readSettings ─▶ setSettings  an operator's change
//
// Every node places partitions by the record's rule and none before it has read the
// record, so that two nodes never move data against each other for longer than a change
// takes to reach both (rule "settings stand in the record").

// Settings are what all nodes of a cluster share and an operator can change while it runs.
// Their zero values are what the record of an older build has.
type Settings struct {
	// Ring is the version of the ring's rule. 0: version 1.
	Ring int `json:"ring,omitempty"`
	// Zones says what prevails where the spread over zones and the weights contradict
	// each other. Empty: strict.
	Zones ring.Zones `json:"zones,omitempty"`
	// SuspectAfter is how long a silent peer is given, in nanoseconds. 0: as each node
	// was told.
	SuspectAfter time.Duration `json:"suspectAfter,omitempty"`
	// DriftPPM bounds how much faster one node's clock runs than another's, in
	// millionths. 0: as each node was told.
	DriftPPM int `json:"driftPPM,omitempty"`
}

// Bounds of the settings.
const (
	minSuspectAfter = time.Millisecond
	maxSuspectAfter = 10 * time.Minute
	maxDriftPPM     = 100_000
)

// Rule returns the rule by which partitions are placed. It may be one that this build does
// not know.
func (s Settings) Rule() ring.Rule {
	rule := ring.Rule{Version: max(s.Ring, 1)}
	if rule.Version > 1 {
		rule.Zones = ring.Strict
		if s.Zones != "" {
			rule.Zones = s.Zones
		}
	}
	return rule
}

// ofRecord returns what a new cluster's record says. A cluster of version 1 gets the record
// that an older build makes.
func (s Settings) ofRecord() Settings {
	if s.Ring == 1 {
		return Settings{}
	}
	return s
}

// check returns an error if this build can't do what the settings say.
func (s Settings) check() error {
	if err := s.Rule().Validate(); err != nil {
		return fmt.Errorf("the cluster's record says ring=%d zones=%s: %w; upgrade this node", s.Ring, s.Zones, err)
	}
	if a := s.SuspectAfter; a != 0 && (a < minSuspectAfter || a > maxSuspectAfter) {
		return fmt.Errorf("the cluster's record in ZooKeeper says suspect-after=%v: want %v to %v; correct it there", a, minSuspectAfter, maxSuspectAfter)
	}
	if d := s.DriftPPM; d < 0 || d > maxDriftPPM {
		return fmt.Errorf("the cluster's record in ZooKeeper says max-drift=%d: want 1 to %d; correct it there", d, maxDriftPPM)
	}
	return nil
}

// follow takes the settings of the cluster's record in the place of this node's flags.
func (n *Node) follow(s Settings) {
	m := &n.member
	if m.following && s == m.settings {
		return
	}
	if rule := s.Rule(); rule != n.rule {
		if n.rule.Version != 0 {
			n.observe(Event{Kind: EventRuleChanged, Index: Index(rule.Version)})
			n.notice("partitions are placed by version %v of the ring's rule from now on", rule)
		}
		n.rule, n.planner.targets = rule, nil
	}
	n.cfg.SuspectAfter = n.flags.SuspectAfter
	if s.SuspectAfter != 0 {
		n.cfg.SuspectAfter = s.SuspectAfter
	}
	n.cfg.DriftPPM = n.flags.DriftPPM
	if s.DriftPPM != 0 {
		n.cfg.DriftPPM = s.DriftPPM
	}
	n.sayFlagDiffers("suspect-after", n.flags.SuspectAfter, n.cfg.SuspectAfter)
	n.sayFlagDiffers("max-drift", n.flags.DriftPPM, n.cfg.DriftPPM)
	if n.rule.Version > 1 {
		n.sayFlagDiffers("zones", n.flags.Zones, n.rule.Zones)
	}
	m.settings, m.following = s, true
}

// sayFlagDiffers tells the operator that a flag counts for nothing.
func (n *Node) sayFlagDiffers(name string, flag, record any) {
	if flag != record {
		n.notice("--%s=%v is not used: the cluster's record says %v; start this node with --%s=%v, or run 'dkv cluster set %s=%v'", name, flag, record, name, record, name, flag)
	}
}

// SettingCommand asks to set one setting: ring, zones, suspect-after or max-drift.
type SettingCommand struct{ Name, Value string }

// settingCall is a SettingCommand under way.
type settingCall struct {
	SettingCommand
	done  func(MemberAnswer)
	sent  bool // a set that may take effect
	tries int
}

// maxSettingTries bounds how often a change is judged anew after a conflict.
const maxSettingTries = 8

// OnSettingCommand changes the cluster's record by compare-and-set, and ends exactly once
// through done, within the request timeout, unless the node fails. done must not call the
// node. A node that is registered does, member or not. The other nodes follow as soon as
// ZooKeeper tells them.
func (n *Node) OnSettingCommand(c SettingCommand, done func(MemberAnswer)) {
	call := &settingCall{SettingCommand: c, done: done}
	switch {
	case n.dead || n.stopping:
		call.end(door.Refused, true, "the node is stopping")
	case !n.registered():
		call.end(door.Refused, true, "this node is not registered with ZooKeeper")
	case len(n.settingCalls) >= maxCommands:
		call.end(door.Refused, true, "too many commands wait at this node")
	default:
		n.settingCalls = append(n.settingCalls, call)
		n.after(n.cfg.RequestTimeout, func() { call.giveUp("ZooKeeper did not answer in time") })
		n.readSettings(call)
	}
}

// end answers the command, unless it was answered.
func (c *settingCall) end(outcome door.Outcome, away bool, why string) {
	if c.done != nil {
		c.done(MemberAnswer{Outcome: outcome, Away: away, Reason: why})
		c.done = nil
	}
}

// giveUp ends the command without an answer of ZooKeeper.
func (c *settingCall) giveUp(why string) {
	if c.sent {
		c.end(door.Unknown, true, why+": see 'dkv cluster show'")
		return
	}
	c.end(door.Refused, true, why)
}

// endSettingCalls ends all, because the node stops.
func (n *Node) endSettingCalls() {
	for _, c := range n.settingCalls {
		c.giveUp("the node is stopping")
	}
	n.settingCalls = nil
}

// pruneSettingCalls forgets those that have ended.
func (n *Node) pruneSettingCalls() {
	open := n.settingCalls[:0]
	for _, c := range n.settingCalls {
		if c.done != nil {
			open = append(open, c)
		}
	}
	clear(n.settingCalls[len(open):])
	n.settingCalls = open
}

// readSettings reads the record, judges the command by it, and sets it.
func (n *Node) readSettings(c *settingCall) {
	if c.done == nil {
		return
	}
	current, session := n.inSession(), n.member.session
	session.Get(n.clusterPath(), false, func(data []byte, stat door.Stat, err error) {
		switch {
		case n.dead:
		case !current() || err != nil:
			c.giveUp("ZooKeeper did not answer")
		default:
			n.setSettings(session, c, data, stat.Version)
		}
	})
}

func (n *Node) setSettings(session door.Session, c *settingCall, data []byte, version int32) {
	next, changed, err := changeRecord(data, c.SettingCommand)
	switch {
	case c.done == nil:
		return
	case n.stopping:
		c.giveUp("the node is stopping")
		return
	case err != nil:
		c.end(door.Refused, false, err.Error())
		return
	case !changed:
		c.end(door.Done, false, fmt.Sprintf("%s is %s already", c.Name, c.Value))
		return
	}
	current := n.inSession()
	c.sent = true
	c.tries++
	session.Multi([]door.Op{{Kind: door.OpSet, Path: n.clusterPath(), Data: next, Version: version}}, func(err error) {
		switch {
		case n.dead:
		case err == nil:
			c.end(door.Done, false, fmt.Sprintf("%s is %s", c.Name, c.Value))
		case errors.Is(err, door.ErrBadVersion) && current() && c.tries < maxSettingTries:
			c.sent = false // certainly not made
			n.readSettings(c)
		case errors.Is(err, door.ErrBadVersion):
			c.end(door.Refused, true, "others changed the record at the same time; try again")
		default:
			c.giveUp("ZooKeeper did not answer")
		}
	})
}

// changeRecord returns the record with one setting changed, and whether that changes it.
// Fields that this build does not know stay.
func changeRecord(data []byte, c SettingCommand) (next []byte, changed bool, err error) {
	var record clusterRecord
	fields := map[string]json.RawMessage{}
	if err := errors.Join(decodeRecord(data, &record), decodeRecord(data, &fields)); err != nil {
		return nil, false, fmt.Errorf("the cluster's record in ZooKeeper can't be read: %w", err)
	}
	was := record.Settings
	if err := record.set(c.Name, c.Value); err != nil {
		return nil, false, err
	}
	changedFields := map[string]json.RawMessage{}
	if err := decodeRecord(encodeRecord(record.Settings), &changedFields); err != nil {
		return nil, false, err
	}
	// order-free: each name is set once
	for name, value := range changedFields {
		fields[name] = value
	}
	return encodeRecord(fields), record.Settings != was, nil
}

// set changes one setting. The error says what is wrong with the name or the value.
func (s *Settings) set(name, value string) error {
	switch name {
	case "ring":
		version, err := strconv.Atoi(value)
		if err != nil || version != 1 && version != 2 {
			return fmt.Errorf("ring=%s: want version 1 or 2 of the ring's rule", value)
		}
		s.Ring = version
	case "zones":
		if zones := ring.Zones(value); zones != ring.Strict && zones != ring.Prefer {
			return fmt.Errorf("zones=%s: want %s or %s", value, ring.Strict, ring.Prefer)
		}
		if s.Rule().Version == 1 {
			return errors.New("zones means nothing under version 1 of the ring's rule: set ring=2 first")
		}
		s.Zones = ring.Zones(value)
	case "suspect-after":
		d, err := time.ParseDuration(value)
		if err != nil || d < minSuspectAfter || d > maxSuspectAfter {
			return fmt.Errorf("suspect-after=%s: want a duration from %v to %v, for example 500ms", value, minSuspectAfter, maxSuspectAfter)
		}
		s.SuspectAfter = d
	case "max-drift":
		ppm, err := strconv.Atoi(value)
		if err != nil || ppm < 1 || ppm > maxDriftPPM {
			return fmt.Errorf("max-drift=%s: want 1 to %d millionths", value, maxDriftPPM)
		}
		s.DriftPPM = ppm
	default:
		return fmt.Errorf("there is no setting %q: want ring, zones, suspect-after or max-drift", name)
	}
	return nil
}
