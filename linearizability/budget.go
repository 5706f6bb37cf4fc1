package linearizability

// A budget limits one search.
type budget struct {
	steps    int
	memory   int             // bytes; 0: no limit
	searched func(steps int) // may be nil
}

// entryBytes is about what a remembered configuration takes besides its key.
const entryBytes = 128

// A spending is what a search has used of its budget.
type spending struct {
	budget budget
	steps  int
	told   int // steps of which searched was told
	memory int
}

// out reports whether no step is left.
func (s *spending) out() bool {
	const often = 1 << 20
	if s.budget.searched != nil && s.steps-s.told >= often {
		s.budget.searched(s.steps - s.told)
		s.told = s.steps
	}
	return s.steps > s.budget.steps
}

// full reports whether nothing more can be remembered.
func (s *spending) full() bool { return s.budget.memory > 0 && s.memory >= s.budget.memory }

// keep counts a configuration that is remembered under a key, with the numbers used
// of so many classes.
func (s *spending) keep(key []byte, classes int) { s.memory += entryBytes + len(key) + 4*classes }
