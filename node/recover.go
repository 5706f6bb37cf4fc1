package node

import (
	"encoding/binary"
	"errors"
	"fmt"

	"dkv/node/layout"
)

// recover reads the node's facts, makes those of a new data directory, and counts the
// boot. Nothing leaves the node before that is durable: the store id is what others know
// the disk by, and the boot tells this process's numbers from those of earlier ones.
func (n *Node) recover() error {
	store, err := n.fact(keyStore)
	if err != nil {
		return err
	}
	if store == nil {
		return n.newStore()
	}
	if err := n.checkFormat(StoreID(store)); err != nil {
		return err
	}
	boot, err := n.fact(keyBoot)
	if err != nil {
		return err
	}
	n.boot, err = decodeNumber(boot)
	if err != nil {
		return wrapKey(keyBoot, err)
	}
	cluster, err := n.fact(keyCluster)
	if err != nil {
		return err
	}
	n.store, n.cluster = StoreID(store), string(cluster)
	n.countBoot()
	if err := n.recoverStamps(); err != nil {
		return err
	}
	return n.recoverLayout()
}

// checkFormat refuses a store that a newer build wrote: its keys may mean what this build
// does not know. An older format is raised here, in the batch that counts the boot, before
// anything of the newer format is written.
func (n *Node) checkFormat(store StoreID) error {
	value, err := n.fact(keyFormat)
	if err != nil {
		return err
	}
	format, err := decodeNumber(value)
	switch {
	case err != nil:
		return wrapKey(keyFormat, err)
	case format == 0:
		return wrapKey(keyFormat, errors.New("format 0 was never written"))
	case format > StoreFormat:
		return fmt.Errorf("store %s has format %d, and this build reads formats up to %d: a newer version of dkv wrote it; start that version or a later one; nothing was changed", store, format, StoreFormat)
	case format < StoreFormat:
		n.turn.batch.Put(keyFormat, encodeNumber(StoreFormat))
		n.notice("raising the store's format from %d to %d; earlier versions of dkv can't open it any more", format, StoreFormat)
	}
	return nil
}

// newStore gives a new data directory its identity. The id is random: a directory that was
// emptied is another disk, whatever the node is called (rule "one disk one member").
func (n *Node) newStore() error {
	n.store = StoreID(n.newUUID())
	n.turn.batch.Put(keyFormat, encodeNumber(StoreFormat))
	n.turn.batch.Put(keyStore, []byte(n.store))
	n.countBoot()
	return n.recoverStamps()
}

func (n *Node) countBoot() {
	n.boot++
	n.turn.batch.Put(keyBoot, encodeNumber(n.boot))
}

// recoverLayout takes the stored copy of the layout, with which the node can follow and
// serve before ZooKeeper answers (rule "serve without a session").
func (n *Node) recoverLayout() error {
	data, err := n.fact(keyLayout)
	if err != nil || data == nil {
		return err
	}
	l, err := layout.Decode(data)
	var newer *layout.NewerError
	switch {
	case errors.As(err, &newer):
		return fmt.Errorf("the layout in the store can't be read: %w; start that version or a later one; nothing was changed", err)
	case err != nil:
		return wrapKey(keyLayout, err)
	}
	n.useLayout(l)
	n.planner.adopted = data
	return nil
}

// fact reads a key of the node's own; it returns nil if there is no such key.
func (n *Node) fact(key []byte) ([]byte, error) {
	value, ok, err := n.env.Store.Get(key)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the store: %w", key, err)
	}
	if !ok {
		return nil, nil
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}

// wrapKey says where the store is damaged, and what an operator can do about it.
func wrapKey(key []byte, err error) error {
	return fmt.Errorf("the store is damaged at key %q: %w; restore the disk, or replace this member by one with an empty data directory", key, err)
}

// newUUID makes a random UUID, version 4 of RFC 9562.
func (n *Node) newUUID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.env.Random.Uint64())
	binary.BigEndian.PutUint64(b[8:], n.env.Random.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// recoverReplicas reads what the store holds of each partition, and starts the
// reigns that this node may start.
func (n *Node) recoverReplicas() {
	for p := range n.replicas {
		r, err := n.recoverReplica(PartitionID(p))
		if err != nil {
			n.fail(err)
			return
		}
		if r != nil {
			n.replicas[p] = r
		}
	}
	n.followAll()
}

// recoverReplica reads one partition; it returns nil if the store holds nothing of it.
//
// promised is at least what the log and the state say (rule "the log is a promise"): their
// entries were accepted under promises of their epochs. commit restarts at applied: how far
// beyond that the log is committed, the next primary will tell.
func (n *Node) recoverReplica(p PartitionID) (*replica, error) {
	r := newReplica(n, p)
	promised, err := n.fact(promisedKey(p))
	if err != nil {
		return nil, err
	}
	state, err := n.fact(stateKey(p))
	if err != nil {
		return nil, err
	}
	if promised != nil {
		if r.promised, r.promisedTo, err = decodePromise(promised); err != nil {
			return nil, wrapKey(promisedKey(p), err)
		}
	}
	if state != nil {
		s, err := decodeState(state)
		if err != nil {
			return nil, wrapKey(stateKey(p), err)
		}
		r.generation, r.applied, r.appliedEpoch = s.generation, s.appliedIndex, s.appliedEpoch
		r.stored = s
		r.log.reset(s.baseIndex, s.baseEpoch)
	}
	if err := r.recoverLog(); err != nil {
		return nil, err
	}
	if err := r.dropOldLog(); err != nil {
		return nil, err
	}
	if err := r.recoverPartial(); err != nil {
		return nil, err
	}
	if err := r.dropGenerations(); err != nil {
		return nil, err
	}
	if promised == nil && state == nil && r.log.lastIndex() == 0 && r.partial == nil {
		return nil, nil
	}
	lastEpoch, _ := r.last()
	// Also the epoch of the applied state: the log may be empty behind a snapshot.
	if logged := max(lastEpoch, r.appliedEpoch); logged > r.promised {
		r.promised, r.promisedTo = logged, 0
	}
	if known := r.known(); r.promisedTo == 0 && known.Epoch == r.promised {
		r.promisedTo = known.Primary
		n.turn.batch.Put(promisedKey(p), encodePromise(r.promised, r.promisedTo))
	}
	r.bootPromised, r.commit = r.promised, r.applied
	n.observe(Event{Kind: EventPromised, Partition: p, Epoch: r.promised})
	return r, nil
}

// recoverLog reads the log and verifies that its entries are whole and consecutive, from
// the base to the applied index at least: rule "stop on damage". A damaged entry is not
// the end of the log: what follows it may have been acknowledged, and this replica's vote
// for a log without it could lose it for good.
func (r *replica) recoverLog() error {
	from, to := logRange(r.id, r.log.baseIndex+1)
	var damage error
	err := r.n.env.Store.Scan(from, to, func(key, value []byte) bool {
		index, ok := indexOfLogKey(key)
		e, err := decodeEntry(value)
		want := r.log.lastIndex() + 1
		switch {
		case err != nil:
			damage = wrapKey(key, err)
		case !ok || e.Index != index:
			damage = wrapKey(key, fmt.Errorf("it holds entry %d", e.Index))
		case e.Index != want:
			damage = wrapKey(key, fmt.Errorf("the log has entry %d where %d belongs", e.Index, want))
		default:
			r.log.append(cloneEntry(e)) // asserts what the cases above have checked
			if e.Index <= r.applied {
				r.appliedBytes += e.size()
			}
			r.n.observe(Event{Kind: EventLogged, Partition: r.id, Epoch: e.Epoch, Index: e.Index, Hash: e.hash()})
		}
		return damage == nil
	})
	if err != nil {
		return fmt.Errorf("reading the log of partition %d: %w", r.id, err)
	}
	// A log that ends before what was applied has lost entries that were committed.
	if damage == nil && r.applied > r.log.lastIndex() {
		damage = wrapKey(stateKey(r.id), fmt.Errorf("%d is applied, but the log ends at %d", r.applied, r.log.lastIndex()))
	}
	return damage
}

// cloneEntry copies what a Scan lends for the time of a callback.
func cloneEntry(e Entry) Entry {
	e.Key = append([]byte(nil), e.Key...)
	e.Value = append([]byte(nil), e.Value...)
	return e
}

// dropGenerations deletes what transfers that never finished left behind, but for the part
// from which one may continue. Only what is there: a range that holds nothing is left
// alone, since most starts have nothing to do.
func (r *replica) dropGenerations() error {
	r.lastGeneration = r.generation
	from, spans := generationKey(r.id, 0), [][2][]byte(nil)
	keep := []uint64{r.generation}
	if r.partial != nil {
		keep = append(keep, r.partial.generation)
		r.lastGeneration = r.partial.generation
	}
	for _, generation := range keep { // rising
		spans = append(spans, [2][]byte{from, generationKey(r.id, generation)})
		from = generationKey(r.id, generation+1)
	}
	spans = append(spans, [2][]byte{from, generationsEnd(r.id)})
	for _, span := range spans {
		found := false
		err := r.n.env.Store.Scan(span[0], span[1], func(_, _ []byte) bool {
			found = true
			return false
		})
		if err != nil {
			return fmt.Errorf("reading the generations of partition %d: %w", r.id, err)
		}
		if found {
			r.n.turn.batch.DeleteRange(span[0], span[1])
		}
	}
	return nil
}
