package pebblestore

import (
	"dkv/node/door"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Commit applies a batch, so that every later read sees it. done runs as an event of
// the loop when the batch and all earlier ones are durable, or with the error that
// stopped the store. Keys to put or delete must not be empty.
func (s *Store) Commit(b *door.Batch, done func(error)) {
	err := s.usable()
	var batch *pebble.Batch
	if err == nil {
		batch, err = s.apply(b, done != nil)
	}
	if err != nil && err != ErrClosed {
		err = s.fail(err)
	}
	switch {
	case done == nil:
	case !s.syncs.push(pendingSync{batch: batch, done: done, err: err}):
		s.options.Post(func() { done(err) })
	}
}

// apply writes a batch to Pebble's log and memory. If synced is set, it returns the
// batch to wait for, or nil if the previous commit covers it.
func (s *Store) apply(b *door.Batch, synced bool) (batch *pebble.Batch, err error) {
	defer s.recovered(&err)
	batch, err = s.encode(b)
	if err != nil {
		return nil, err
	}
	if batch.Empty() {
		if !synced || !s.unsynced {
			return nil, batch.Close()
		}
		// Pebble ignores an empty batch and does not sync. An entry that only goes
		// to the log makes it sync everything before.
		if err := batch.LogData(nil, nil); err != nil {
			return nil, err
		}
	}
	s.counts.commits.Add(1)
	s.counts.bytes.Add(uint64(batch.Len()))
	if !synced {
		s.unsynced = true
		if err := s.db.Apply(batch, pebble.NoSync); err != nil {
			return nil, err
		}
		return nil, batch.Close()
	}
	s.counts.synced.Add(1)
	s.unsynced = false
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return nil, err
	}
	return batch, nil
}

func (s *Store) encode(b *door.Batch) (*pebble.Batch, error) {
	size := 16
	for i := range b.Ops {
		op := &b.Ops[i]
		size += 16 + len(op.Key) + len(op.Value) + len(op.To)
	}
	batch := s.db.NewBatchWithSize(size)
	for i := range b.Ops {
		if err := encodeOp(batch, &b.Ops[i]); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

var errEmptyKey = errors.New("committing a batch: a key is empty")

// encodeOp appends an operation. It avoids empty keys: in builds with Pebble's own
// checks, a range deletion that begins at one lost its effect when there was
// another.
func encodeOp(batch *pebble.Batch, op *door.BatchOp) error {
	from := op.Key
	if len(from) == 0 {
		if op.Kind != door.BatchDeleteRange {
			return errEmptyKey
		}
		from = []byte{0}
	}
	switch op.Kind {
	case door.BatchPut:
		return batch.Set(op.Key, op.Value, nil)
	case door.BatchDelete:
		return batch.Delete(op.Key, nil)
	case door.BatchDeleteRange:
		if string(from) >= string(op.To) {
			return nil // Pebble does not expect empty ranges
		}
		return batch.DeleteRange(from, op.To, nil)
	}
	return fmt.Errorf("committing a batch: unknown operation kind %d", op.Kind)
}

// pendingSync is a commit whose done has not been posted yet. If it has no batch and
// no error, it only waits for the commits before it.
type pendingSync struct {
	batch *pebble.Batch
	done  func(error)
	err   error
}

// syncQueue holds pending commits in order. It is bounded because Pebble makes the
// loop wait when about 4,000 commits are waiting for a sync.
type syncQueue struct {
	mu     sync.Mutex
	wake   sync.Cond // not empty, or closed
	queue  []pendingSync
	closed bool
	ended  chan struct{} // closed when all dones are posted after close
}

func newSyncQueue() *syncQueue {
	q := &syncQueue{ended: make(chan struct{})}
	q.wake.L = &q.mu
	return q
}

// push returns false once the queue is closed.
func (q *syncQueue) push(p pendingSync) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.queue = append(q.queue, p)
	q.wake.Signal()
	return true
}

// take waits for commits and returns them, leaving the empty spare slice as the
// queue. It returns an empty slice when the queue is closed and empty.
func (q *syncQueue) take(spare []pendingSync) []pendingSync {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) == 0 && !q.closed {
		q.wake.Wait()
	}
	taken := q.queue
	q.queue = spare[:0]
	return taken
}

func (q *syncQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Signal()
}

// awaitSyncs waits for the syncs, in the order of the commits. It rarely waits for
// more than the first commit of a group, because one sync covers everything that
// was written before it.
func (s *Store) awaitSyncs() {
	defer close(s.syncs.ended)
	var group []pendingSync
	for {
		group = s.syncs.take(group)
		if len(group) == 0 {
			return
		}
		for i := range group {
			p := group[i]
			group[i] = pendingSync{}
			err := s.await(p)
			s.options.Post(func() { p.done(err) })
		}
	}
}

// await waits until a commit is durable or the store has failed. It does not rely on
// Pebble's answer alone: disk hides errors from Pebble, and even if it did not,
// Pebble would start a new log after an error and sync later commits there although
// earlier ones were lost.
func (s *Store) await(p pendingSync) error {
	if p.err != nil {
		return p.err
	}
	if err := s.Err(); err != nil || p.batch == nil {
		return err
	}
	if err := p.batch.SyncWait(); err != nil {
		return s.fail(fmt.Errorf("syncing the log of the store in %s: %w", s.options.Dir, err))
	}
	if err := s.Err(); err != nil {
		return err
	}
	if err := p.batch.Close(); err != nil {
		return s.fail(err)
	}
	return nil
}
