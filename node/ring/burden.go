package ring

// Burden says what a member carries because of its zone, in replicas of a
// partition in the mean: more than it would by its weight.
type Burden struct {
	Number   uint64
	Due      float64
	ByWeight float64
}

// Burdens returns the members that have to carry more than their weight, in the
// order of their ids, because there are too few in their zones. Under a rule that
// places by weight there are none.
func (rule Rule) Burdens(replication int, members []Member) ([]Burden, error) {
	if err := rule.check(1, replication, members); err != nil {
		return nil, err
	}
	if rule.Version == 1 || rule.Zones == Prefer {
		return nil, nil
	}
	members = sorted(members)
	replication = min(replication, len(members))
	r := newRing(members)
	due, byWeight := r.plan(replication, Strict).due, r.plan(replication, Prefer).due
	var burdens []Burden
	for i, m := range members {
		if d, w := due[i], byWeight[i]; d.part*w.of > w.part*d.of {
			burdens = append(burdens, Burden{m.Number, d.mean(), w.mean()})
		}
	}
	return burdens, nil
}

func (d due) mean() float64 { return float64(d.part) / float64(d.of) }
