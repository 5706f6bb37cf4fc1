package linearizability

import (
	"hash/maphash"
	"strings"
)

// A pool holds the texts of a history while it is read, so that a million operations do
// not need a million allocations: keys and nodes are stored once, values share chunks,
// and a value that repeats soon, such as that of a read, is stored once.
type pool struct {
	names  map[string]string
	recent []string // by hash; a new value replaces the old one
	seed   maphash.Seed
	chunk  strings.Builder
}

const (
	recentValues = 1 << 12
	chunkBytes   = 64 << 10
	maxShared    = chunkBytes / 16 // longer values are stored apart
)

func newPool() *pool {
	return &pool{names: make(map[string]string), recent: make([]string, recentValues), seed: maphash.MakeSeed()}
}

// name stores equal texts once.
func (p *pool) name(text []byte) string {
	if held, ok := p.names[string(text)]; ok {
		return held
	}
	held := string(text)
	p.names[held] = held
	return held
}

// value stores a text that may be one of many different ones.
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
