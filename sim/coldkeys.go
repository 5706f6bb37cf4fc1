package sim

import (
	"strconv"

	"dkv/linearizability"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// coldKeys are keys that clients write once or twice and read only at the end of the
// run. A write to one of the workload's other keys is overwritten within a second or two,
// and its loss with it.
type coldKeys struct {
	keys []string
	next int   // keys[:next] were written once, at least
	once []int // those of them that were written only once, and may be again
}

func newColdKeys(w *schedule.Workload) coldKeys {
	c := coldKeys{keys: make([]string, w.Cold)}
	for i := range c.keys {
		c.keys[i] = "cold" + strconv.Itoa(i)
	}
	return c
}

// askCold sends a write of a cold key in place of the client's next operation, and
// reports whether it did. The share of such writes is chosen so that the last cold keys
// are written near the end of the fault phase.
func (c *client) askCold() bool {
	w, cold := &c.work.setup.Workload, &c.work.cold
	if len(cold.keys) == 0 || c.below(2*max(1, w.Operations), "cold") >= 3*len(cold.keys) {
		return false
	}
	op := linearizability.Operation{Client: c.id, Kind: linearizability.Put}
	r := door.Request{Kind: door.RequestPut, Timeout: c.timeout()}
	k, ok := c.drawColdKey(&op, &r)
	if !ok {
		return false
	}
	op.Key, r.Key = cold.keys[k], []byte(cold.keys[k])
	if op.Kind == linearizability.Put {
		op.Value = c.work.value(c.id)
		r.Value = []byte(op.Value)
	}
	c.chooseHost()
	c.work.submit(c.orStranger(c.host), op, r, func(_ door.Response, outcome linearizability.Outcome) { c.rest(outcome) })
	return true
}

// drawColdKey returns the next key that was never written or, in one case of three, one
// that was written once. The second write of a key deletes it in one case of four.
func (c *client) drawColdKey(op *linearizability.Operation, r *door.Request) (k int, ok bool) {
	cold := &c.work.cold
	left := len(cold.keys) - cold.next
	if left > 0 && (len(cold.once) == 0 || c.below(3, "cold again") > 0) {
		k = cold.next
		cold.next++
		cold.once = append(cold.once, k)
		return k, true
	}
	if left == 0 {
		return 0, false
	}
	i := c.below(len(cold.once), "cold key")
	k = cold.once[i]
	cold.once[i] = cold.once[len(cold.once)-1]
	cold.once = cold.once[:len(cold.once)-1]
	if c.below(4, "cold delete") == 0 {
		op.Kind, r.Kind = linearizability.Delete, door.RequestDelete
	}
	return k, true
}
