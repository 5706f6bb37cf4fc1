package node

import (
	"encoding/binary"
	"fmt"
	"time"
)

// What came of a snapshot before its transfer was interrupted. Rule "continue under the
// same name": it is kept, durably, until the transfer continues, another one begins, or
// the source can't hold the View any more. Nothing reads it before the switch, so keeping
// it can do no harm; what makes it worth keeping is the time that a large state takes.

// partial is a snapshot of which a part stands in a generation that is not the state's.
type partial struct {
	name       SnapshotName
	generation uint64 // into which it is loaded
	begun      bool   // a chunk has come
	after      []byte // the last key loaded
	since      time.Duration
}

// suspendInstall ends the transfer under way and keeps what it loaded. A promise of a
// higher epoch ends it, because the promise speaks of the old log; the new epoch's primary
// may offer the same View again.
func (r *replica) suspendInstall() {
	i := r.install
	if i == nil {
		return
	}
	r.install = nil
	if i.begun {
		i.since = r.n.now()
		r.partial = &i.partial
	}
}

// takePartial returns what there is of a snapshot: what an interrupted transfer of this
// name loaded, else nothing, in a fresh generation. What is left of another name goes.
func (r *replica) takePartial(name SnapshotName, e Epoch) partial {
	if p := r.partial; p != nil && p.name == name {
		r.partial = nil
		r.n.observe(Event{Kind: EventSnapshotContinued, Partition: r.id, Epoch: e, Index: name.Index})
		return *p
	}
	r.dropPartial()
	r.lastGeneration++
	return partial{name: name, generation: r.lastGeneration}
}

// dropPartial clears what an interrupted transfer loaded.
func (r *replica) dropPartial() {
	if r.partial == nil {
		return
	}
	r.clear(r.partial.generation)
	r.n.turn.batch.Delete(installKey(r.id))
	r.partial = nil
}

// notePartial writes how far a transfer has come, in the batch of the keys that it loaded:
// a crash leaves both or neither.
func (r *replica) notePartial(p *partial) {
	if p.begun {
		r.n.turn.batch.Put(installKey(r.id), p.encode())
	}
}

// recoverPartial finds what a former process loaded. A record that is older than the
// state belongs to a transfer that ended, and is overwritten by the next.
func (r *replica) recoverPartial() error {
	raw, err := r.n.fact(installKey(r.id))
	if err != nil || raw == nil {
		return err
	}
	p, err := decodePartial(raw)
	if err != nil {
		return wrapKey(installKey(r.id), err)
	}
	if p.generation <= r.generation {
		r.n.turn.batch.Delete(installKey(r.id))
		return nil
	}
	p.since = r.n.now()
	r.partial = &p
	return nil
}

// encode writes generation, boot, index, epoch and generation of the name, the length of
// its source's store id, that id, and the last key.
func (p *partial) encode() []byte {
	b := make([]byte, 0, 48+len(p.name.Source)+len(p.after))
	for _, v := range [...]uint64{p.generation, p.name.Boot, uint64(p.name.Index), uint64(p.name.Epoch), p.name.Generation} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.name.Source)))
	b = append(b, p.name.Source...)
	return append(b, p.after...)
}

func decodePartial(b []byte) (partial, error) {
	if len(b) < 42 || len(b) < 42+int(binary.BigEndian.Uint16(b[40:])) {
		return partial{}, fmt.Errorf("%d bytes are too few for a snapshot's progress", len(b))
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	key := 42 + int(binary.BigEndian.Uint16(b[40:]))
	return partial{
		name:       SnapshotName{StoreID(b[42:key]), at(1), Index(at(2)), Epoch(at(3)), at(4)},
		generation: at(0), begun: true, after: append([]byte{}, b[key:]...),
	}, nil
}

// check asserts that a suspended transfer and one under way never share the newest
// generations.
func (r *replica) checkPartial() error {
	p := r.partial
	if p != nil && (r.install != nil || !p.begun || p.generation <= r.generation || p.generation > r.lastGeneration) {
		return broken("a part of snapshot %+v stands in generation %d; transfer under way %v, generations %d to %d", p.name, p.generation, r.install != nil, r.generation, r.lastGeneration)
	}
	return nil
}
