package zktree

import "slices"

// maxChunk bounds what one insertion moves.
const maxChunk = 128

// names is a sorted set of names, kept in chunks. No chunk is empty or longer
// than maxChunk, each is ascending, and all its names are below those of the
// next. So a node with a hundred thousand children is listed without sorting,
// and gains or loses one without moving the others.
type names struct {
	chunks [][]string
	count  int
}

func (s *names) len() int { return s.count }

// chunkOf returns the index of the chunk that holds name or would hold it.
func (s *names) chunkOf(name string) int {
	last := len(s.chunks) - 1
	if last <= 0 || name >= s.chunks[last][0] {
		return last // the common case: names are created in ascending order
	}
	low, high := 0, last // invariant: chunk low begins at or before name (or is the first), chunk high after it
	for low+1 < high {
		if mid := (low + high) / 2; s.chunks[mid][0] <= name {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// add inserts a name, which must be absent.
func (s *names) add(name string) {
	s.count++
	if len(s.chunks) == 0 {
		s.chunks = append(s.chunks, []string{name})
		return
	}
	i := s.chunkOf(name)
	chunk := s.chunks[i]
	if len(chunk) == maxChunk {
		if i == len(s.chunks)-1 && name > chunk[maxChunk-1] {
			s.chunks = append(s.chunks, append(make([]string, 0, maxChunk), name))
			return
		}
		half := append(make([]string, 0, maxChunk), chunk[maxChunk/2:]...)
		clear(chunk[maxChunk/2:])
		s.chunks[i] = chunk[:maxChunk/2]
		s.chunks = slices.Insert(s.chunks, i+1, half)
		if name >= half[0] {
			i++
		}
		chunk = s.chunks[i]
	}
	at := len(chunk)
	if name < chunk[at-1] {
		at, _ = slices.BinarySearch(chunk, name)
	}
	s.chunks[i] = slices.Insert(chunk, at, name)
}

// remove deletes a name, which must be present.
func (s *names) remove(name string) {
	s.count--
	i := s.chunkOf(name)
	at, _ := slices.BinarySearch(s.chunks[i], name)
	s.chunks[i] = slices.Delete(s.chunks[i], at, at+1)
	if len(s.chunks[i]) == 0 {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
}

// list returns a copy of all names, ascending.
func (s *names) list() []string {
	all := make([]string, 0, s.count)
	for _, chunk := range s.chunks {
		all = append(all, chunk...)
	}
	return all
}
