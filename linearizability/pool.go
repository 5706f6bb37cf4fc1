package linearizability

import (
	"hash/maphash"
	"strings"
)

// A pool holds the texts of a history that is being read, so that a million
// operations are not a million texts: keys and nodes once each, values close
// together, and a value that comes again soon, as that of a read does, once.
type pool struct {
	names  map[string]string
	recent []string // by hash; what was there is forgotten
	seed   maphash.Seed
	chunk  strings.Builder
}

const (
	recentValues = 1 << 12
	chunkBytes   = 64 << 10
	maxShared    = chunkBytes / 16 // a longer value has its own memory
)

func newPool() *pool {
	return &pool{names: make(map[string]string), recent: make([]string, recentValues), seed: maphash.MakeSeed()}
}

// name holds equal texts once.
func (p *pool) name(text []byte) string {
	if held, ok := p.names[string(text)]; ok {
		return held
	}
	held := string(text)
	p.names[held] = held
	return held
}

// value holds a text that may be one of many different ones.
func (p *pool) value(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	slot := &p.recent[maphash.Bytes(p.seed, text)%recentValues]
	if *slot == string(text) {
		return *slot
	}
	if len(text) > maxShared {
		*slot = string(text)
		return *slot
	}
	if p.chunk.Len()+len(text) > p.chunk.Cap() {
		p.chunk = strings.Builder{}
		p.chunk.Grow(chunkBytes)
	}
	from := p.chunk.Len()
	p.chunk.Write(text)
	*slot = p.chunk.String()[from:]
	return *slot
}
