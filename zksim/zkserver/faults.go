package zkserver

// faults are what tests may ask for; the owner's.
type faults struct {
	dropBefore, dropAfter int
	holdHandshakes        bool
}

func take(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// ExpireSession ends a session now, as if it had been silent for its timeout;
// false if there is none.
func (s *Server) ExpireSession(id int64) bool {
	found := false
	s.call(func() {
		if sess := s.sessions[id]; sess != nil {
			found = true
			s.expire(sess)
		}
	})
	return found
}

// Sessions are the ids of the live sessions, ascending.
func (s *Server) Sessions() []int64 {
	var ids []int64
	s.call(func() { ids = s.tree.Sessions() })
	return ids
}
