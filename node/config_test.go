package node

import (
	"strings"
	"testing"
	"time"

	"dkv/node/ring"
)

func TestZeroConfigMeansDefaults(t *testing.T) {
	c := Config{ID: "n1", PeerAddress: "127.0.0.1:1"}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got := c.withDefaults()
	want := Config{
		Cluster: "default", ID: "n1", PeerAddress: "127.0.0.1:1", Weight: 1,
		Expect: 5, Join: JoinAuto, ReplaceAfter: 10 * time.Minute, Partitions: 256, Replication: 3,
		Ring: 2, Zones: ring.Strict, DriftPPM: 500,
		SuspectAfter: 500 * time.Millisecond, RequestTimeout: 5 * time.Second, MoveTimeout: 10 * time.Second, SettleTime: 10 * time.Second,
		RetainEntries: 1024, RetainBytes: 1 << 20, ChunkBytes: 256 << 10, ViewTime: time.Minute,
		MoveRate: 32 << 20, CopyLogBytes: 1 << 30,
		MaxUncommittedBytes: 4 << 20, MaxNodeUncommittedBytes: 64 << 20, MaxWaiting: 4096,
	}
	if got != want {
		t.Errorf("defaults are %+v, want %+v", got, want)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for _, c := range []struct {
		field string
		set   func(*Config)
	}{
		{"ID", func(c *Config) { c.ID = "" }},
		{"ID", func(c *Config) { c.ID = "a/b" }},
		{"ID", func(c *Config) { c.ID = ".." }},
		{"ID", func(c *Config) { c.ID = NodeID(strings.Repeat("n", 65)) }},
		{"Cluster", func(c *Config) { c.Cluster = "ä" }},
		{"PeerAddress", func(c *Config) { c.PeerAddress = "" }},
		{"Weight", func(c *Config) { c.Weight = -1 }},
		{"Weight", func(c *Config) { c.Weight = 65 }},
		{"PeerAddress", func(c *Config) { c.PeerAddress = `127.0.0.1:1"` }},
		{"HTTPAddress", func(c *Config) { c.HTTPAddress = `127.0.0.1\1` }},
		{"Partitions", func(c *Config) { c.Partitions = 4097 }},
		{"Partitions", func(c *Config) { c.Partitions = -1 }},
		{"Replication", func(c *Config) { c.Replication, c.Expect = 8, 9 }},
		{"Expect", func(c *Config) { c.Expect = 257 }},
		{"Expect", func(c *Config) { c.Expect = 2 }},
		{"SuspectAfter", func(c *Config) { c.SuspectAfter = time.Microsecond }},
		{"SuspectAfter", func(c *Config) { c.SuspectAfter = maxSuspectAfter + 1 }},
		{"Ring", func(c *Config) { c.Ring = 3 }},
		{"Zones", func(c *Config) { c.Zones = "any" }},
		{"DriftPPM", func(c *Config) { c.DriftPPM = -1 }},
		{"RequestTimeout", func(c *Config) { c.RequestTimeout = MaxRequestTimeout + 1 }},
		{"RequestTimeout", func(c *Config) { c.RequestTimeout = -1 }},
		{"MoveTimeout", func(c *Config) { c.MoveTimeout = -1 }},
		{"RetainEntries", func(c *Config) { c.RetainEntries = -1 }},
		{"ChunkBytes", func(c *Config) { c.ChunkBytes = 2<<20 + 1 }},
	} {
		config := Config{ID: "n1", PeerAddress: "127.0.0.1:1"}
		c.set(&config)
		if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), "configuration: "+c.field) {
			t.Errorf("%+v: %v, want an error about %s", config, err, c.field)
		}
		if _, err := New(config, Env{}); err == nil {
			t.Errorf("New takes a configuration with a wrong %s", c.field)
		}
	}
}

func TestConfigAtItsBoundsIsFine(t *testing.T) {
	for _, c := range []Config{
		{ID: NodeID(strings.Repeat("n", 64)), PeerAddress: "a", Weight: 64, Partitions: 4096, Replication: 7, Expect: 256, RequestTimeout: MaxRequestTimeout, ChunkBytes: 2 << 20},
		{ID: "A-z_0.9", PeerAddress: "a", Weight: 1, Partitions: 1, Replication: 1, Expect: 1, SuspectAfter: time.Millisecond, RetainEntries: 1, ChunkBytes: 1},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
