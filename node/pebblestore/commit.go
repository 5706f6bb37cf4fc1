package pebblestore

import (
	"dkv/node/door"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Commit applies a batch, so that every later read sees it. done runs as an
// event of the loop when the batch and all before it are durable, or with the
// error that stopped the store. A key that is put or deleted is not empty.
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

// apply writes a batch to Pebble's log and memory. If synced, it returns what
// to wait for; nil if that is the commit before.
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
		// Pebble skips an empty batch, sync and all. Data that only the log
		// sees makes it a barrier.
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

// encodeOp appends an operation. Pebble does not do well with an empty key:
// the range tombstone that begins at one was seen to lose its effect in the
// presence of another, in builds with Pebble's own checks.
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
			return nil // an empty range, which Pebble does not expect
		}
		return batch.DeleteRange(from, op.To, nil)
	}
	return fmt.Errorf("committing a batch: operation of kind %d", op.Kind)
}

// pendingSync is a commit whose done has not been posted. Without a batch it
// waits for the commits before it, unless it failed at once.
type pendingSync struct {
	batch *pebble.Batch
	done  func(error)
	err   error
}

// syncQueue holds them in order. Pebble admits about 4,000 commits that wait
// for a sync, and makes the loop wait above; that bounds the queue.
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

// push says false once the queue is closed.
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

// take waits for commits and swaps them for the empty spare; nothing says that
// the queue is closed and empty.
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

// awaitSyncs is the goroutine that waits for syncs, in the order of the
// commits. Pebble syncs all that is written at one time, so that the commits
// behind the first of a sync rarely wait.
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

// await waits until a commit is durable, or the store has failed. Pebble's word
// alone does not do: it is deceived about a broken disk, and even if it were
// not, behind a new log it would sync later commits on top of what was lost.
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
