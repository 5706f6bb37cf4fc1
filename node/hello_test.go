package node

import "testing"

// TestHelloIsJudged checks rule "one disk one member" where connections begin.
func TestHelloIsJudged(t *testing.T) {
	d := newDoors(t, storeOfMember(t)) // member 1, disk-1, cluster c0ffee
	good := Hello{Cluster: "c0ffee", Node: "n2", Member: 2, Store: "disk-2", To: "disk-1", Boot: 3, Lineage: Lineage{{ID: 5}}}
	if err := d.node.OnHello(good); err == nil {
		t.Error("a hello is accepted before the own identity is durable")
	}
	d.sync()
	for _, c := range []struct {
		name   string
		change func(*Hello)
		says   string // "": accepted
	}{
		{"a member", func(*Hello) {}, ""},
		{"a peer that does not know which store it reaches", func(h *Hello) { h.To = "" }, ""},
		{"a peer that knows no cluster yet", func(h *Hello) { h.Cluster, h.Member, h.Store = "", 0, "disk-9" }, ""},
		{"a member that this layout does not know", func(h *Hello) { h.Member, h.Store = 9, "disk-9" }, ""},
		{"another cluster", func(h *Hello) { h.Cluster = "beef" }, "belongs to cluster c0ffee, not to beef"},
		{"no store id", func(h *Hello) { h.Store = "" }, "must name its store id"},
		{"meant for another disk", func(h *Hello) { h.To = "disk-3" }, "has store disk-1, not disk-3"},
		{"a member with another disk", func(h *Hello) { h.Store = "disk-9" }, "member 2 has store disk-2, not disk-9"},
	} {
		h := good
		c.change(&h)
		err := d.node.OnHello(h)
		if c.says == "" && err != nil {
			t.Errorf("%s: refused: %v", c.name, err)
		} else if c.says != "" {
			mustContain(t, err, c.says)
		}
	}
}

// TestFramesOfAnotherDiskAreDropped checks rule "one disk one member".
func TestFramesOfAnotherDiskAreDropped(t *testing.T) {
	d := newDoors(t, storeOfMember(t))
	d.sync()
	good := *d.frame(2, &LayoutRequest{})
	for _, c := range []struct {
		name    string
		change  func(*Envelope)
		answers int
	}{
		{"as it should be", func(*Envelope) {}, 1},
		{"to another disk", func(m *Envelope) { m.ToStore = "disk-3" }, 0},
		{"from another disk", func(m *Envelope) { m.FromStore = "disk-9" }, 0},
		{"from oneself", func(m *Envelope) { m.From, m.FromStore = 1, "disk-1" }, 0},
	} {
		m := good
		c.change(&m)
		d.sent = nil
		d.node.OnMessage(&m)
		d.node.EndTurn()
		if len(d.sent) != c.answers {
			t.Errorf("%s: %d answers, want %d", c.name, len(d.sent), c.answers)
		}
	}
}
