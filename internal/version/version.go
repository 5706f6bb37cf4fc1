package version

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"dkv/node"
)

// A Build describes the running program.
type Build struct {
	Version     string // of the module, such as v0.2.0; "(devel)" if it is not known
	Commit      string // "unknown" if the program was built outside a repository
	Modified    bool   // whether there were uncommitted changes
	Go          string
	Platform    string // such as linux/amd64
	Protocol    uint16 // of the connections between nodes
	StoreFormat uint64 // of a node's data directory
}

// Read returns the description of the running program.
func Read() Build {
	about, _ := debug.ReadBuildInfo()
	return from(about)
}

// from fills in what the build information says; it may be nil.
func from(about *debug.BuildInfo) Build {
	b := Build{
		Version:     "(devel)",
		Commit:      "unknown",
		Go:          runtime.Version(),
		Platform:    runtime.GOOS + "/" + runtime.GOARCH,
		Protocol:    node.ProtocolVersion,
		StoreFormat: node.StoreFormat,
	}
	if about == nil {
		return b
	}
	if about.Main.Version != "" {
		b.Version = about.Main.Version
	}
	for _, s := range about.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Revision returns the commit, with "+dirty" after it if there were uncommitted
// changes.
func (b Build) Revision() string {
	if b.Modified {
		return b.Commit + "+dirty"
	}
	return b.Commit
}

// Text returns what the program of that name prints as its version.
func (b Build) Text(program string) string {
	return fmt.Sprintf(`%s %s
commit        %s
Go            %s %s
protocol      %d
store format  %d
`, program, b.Version, b.Revision(), b.Go, b.Platform, b.Protocol, b.StoreFormat)
}
