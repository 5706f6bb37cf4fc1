package node

import (
	"dkv/node/door"
	"time"
)

// A forward's number has one fate at a primary: it is accepted or refused once, and
// its copies get the same answer or none (rule "one fate per forward"). The tables
// belong to a reign and are lost with the process. That is enough: a forward names
// its epoch, and no other process ever leads that one (rule "never resume an
// epoch").

// FatesKept is how long the tables of an ended reign are kept: longer than copies
// stay in the network, and than most clients wait.
const FatesKept = 30 * time.Second

// smallValue bounds what is kept of an answer, in bytes. A copy of a forward
// whose answer is larger gets none.
const smallValue = 256

// fates holds what became of the numbers of one forwarder (one boot of one store).
//
// Numbers up to forwardWindow below max have a record if they came; max-forwardWindow
// and everything below it is forgotten, and answered as unknown. order holds the
// numbers that have a record, so there are never more than forwardWindow.
type fates struct {
	store   StoreID
	boot    uint64
	max     uint64
	records map[uint64]*fate
	order   []uint64 // numbers, as they came
}

// check asserts what the comment of fates says.
func (t *fates) check() error {
	if len(t.order) != len(t.records) || len(t.order) > 0 && t.order[len(t.order)-1] > t.max {
		return broken("%d fates in order, %d recorded, up to %d", len(t.order), len(t.records), t.max)
	}
	return nil
}

// fate is what became of one number. Until it is final a copy is dropped: the first
// one is under way, or its answer was too large to be kept.
type fate struct {
	final    bool // response may be repeated
	response door.Response
}

func (f *fate) settle(answer door.Response) {
	f.response, f.final = answer, len(answer.Value) <= smallValue
	if !f.final {
		f.response = door.Response{}
	}
}

// endedReign keeps what a reign did for forwarders.
type endedReign struct {
	epoch Epoch
	until time.Duration
	fates []*fates
}

// fatesOf returns the table in which the forward's number stands or will stand; nil if
// this process does not hold the epoch's tables.
func (r *replica) fatesOf(f *Forward) *fates {
	if g := r.reign; g != nil && g.epoch == f.Epoch {
		return findFates(&g.fates, f.ID)
	}
	for i := range r.ended {
		if r.ended[i].epoch == f.Epoch {
			return findFates(&r.ended[i].fates, f.ID)
		}
	}
	return nil
}

// findFates returns the table of a forwarder, made anew if it has none. A forwarder that
// restarts counts from 1 again, under another boot, and so gets another table.
func findFates(tables *[]*fates, id ForwardID) *fates {
	for _, t := range *tables {
		if t.store == id.Store && t.boot == id.Boot {
			return t
		}
	}
	t := &fates{store: id.Store, boot: id.Boot, records: make(map[uint64]*fate)}
	*tables = append(*tables, t)
	return t
}

// of returns the fate of a number, and whether it came for the first time. It is nil for
// a number that fell below the window: whether that one was accepted is forgotten, so it
// must not be taken for a new one.
func (t *fates) of(number uint64) (f *fate, fresh bool) {
	if number+forwardWindow <= t.max {
		return nil, false
	}
	if f, ok := t.records[number]; ok {
		return f, false
	}
	t.max = max(t.max, number)
	for len(t.order) > 0 && t.order[0]+forwardWindow <= t.max {
		delete(t.records, t.order[0])
		t.order = t.order[1:]
	}
	f = &fate{}
	t.records[number] = f
	t.order = append(t.order, number)
	return f, true
}

// keepFates remembers an ended reign's tables for a while, also that there are none: a
// forward whose first copy comes after the reign was certainly not accepted in it.
func (r *replica) keepFates(g *reign) {
	r.ended = append(r.ended, endedReign{g.epoch, r.n.now() + FatesKept, g.fates})
}

func (r *replica) dropFates(now time.Duration) {
	for len(r.ended) > 0 && r.ended[0].until <= now {
		r.ended = r.ended[1:]
	}
}
