package zksim

import (
	"slices"
	"testing"

	"dkv/zksim/zktree"
)

// TestOnlyExistsWatchesAMissingNode: a get or children that finds no node leaves no
// watch, which is why an application must ask with exists.
func TestOnlyExistsWatchesAMissingNode(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(a *app) error
		want []zktree.Event
	}{
		{"get", func(a *app) error { return a.get("/a", true).err }, nil},
		{"children", func(a *app) error { return a.children("/a", true).err }, nil},
		{"exists", func(a *app) error { return a.exists("/a", true).err }, []zktree.Event{{Type: zktree.EventCreated, Path: "/a"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTestService(t, 1, Config{Servers: 1})
			a, b := g.client("n1", 4*tick), g.client("n2", 4*tick)
			if err := c.ask(a); err != zktree.ErrNoNode {
				t.Fatalf("%s of a missing node: %v", c.name, err)
			}
			b.create("/a", "", 0)
			b.create("/a/child", "", 0)
			b.set("/a", "x", -1)
			b.delete("/a/child", -1)
			b.delete("/a", -1)
			g.w.pass(tick)
			if !slices.Equal(a.events, c.want) {
				t.Errorf("told %v; want %v", a.events, c.want)
			}
		})
	}
}
