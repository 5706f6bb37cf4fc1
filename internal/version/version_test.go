package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"

	"dkv/node"
)

func TestBuild(t *testing.T) {
	settings := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.modified", Value: modified}}
	}
	tests := []struct {
		name              string
		about             *debug.BuildInfo
		version, revision string
	}{
		{"no build information", nil, "(devel)", "unknown"},
		{"outside a repository", &debug.BuildInfo{}, "(devel)", "unknown"},
		{"a release", &debug.BuildInfo{Main: debug.Module{Version: "v0.2.0"}, Settings: settings("false")}, "v0.2.0", "c0ffee"},
		{"uncommitted changes", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings("true")}, "(devel)", "c0ffee+dirty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := from(test.about)
			if b.Version != test.version || b.Revision() != test.revision {
				t.Errorf("version %q, revision %q; want %q and %q", b.Version, b.Revision(), test.version, test.revision)
			}
			want := fmt.Sprintf("dkv %s\ncommit        %s\nGo            %s %s/%s\nprotocol      %d\nstore format  %d\n",
				test.version, test.revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, node.ProtocolVersion, node.StoreFormat)
			if text := b.Text("dkv"); text != want {
				t.Errorf("got\n%swant\n%s", text, want)
			}
		})
	}
}
