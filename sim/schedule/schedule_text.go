package schedule

// FileText returns the text to keep in a file: brief if the calls are listed, so
// that a person can read all of it, otherwise with every field.
func (s *Schedule) FileText() string {
	if s.Setup.Workload.Source == Listed {
		return s.Brief()
	}
	return s.String()
}
