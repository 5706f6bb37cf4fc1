package world

import (
	"strings"
	"testing"

	"dkv/zksim"
)

func TestWhatScriptsWereToldIsHeldAgainstTheEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(z *ZKScripts)
		want string
	}{
		{"nothing is wrong", func(*ZKScripts) {}, ""},
		{"a set that succeeded is missing", func(z *ZKScripts) { z.acked += 1000 }, "/scripts/ledger has version"},
		{"a set came from nowhere", func(z *ZKScripts) { z.acked, z.unknown = 0, 0 }, "/scripts/ledger has version"},
		{"a queued znode is missing", func(z *ZKScripts) { z.queued["/scripts/queue/q-x"] = struct{}{} }, "it is missing"},
	} {
		w, err := New(Config{Seed: 9, ZooKeeper: zksim.Config{Servers: 3}})
		if err != nil {
			t.Fatal(err)
		}
		z := NewZKScripts(w, 2, func(string, ...any) {})
		z.Begin()
		for z.acked < 3 && w.Step() {
		}
		z.End()
		c.lie(z)
		wrong := strings.Join(z.Audit(), "; ")
		if c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		}
	}
}
