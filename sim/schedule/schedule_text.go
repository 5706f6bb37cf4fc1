package schedule

// FileText is the schedule as it is best kept in a file: brief if its calls are
// listed, so that a person reads all of it, else with every field.
func (s *Schedule) FileText() string {
	if s.Setup.Workload.Source == Listed {
		return s.Brief()
	}
	return s.String()
}
