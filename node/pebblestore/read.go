package pebblestore

import (
	"bytes"
	"dkv/node/door"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Get returns a copy of the value of a key.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.usable(); err != nil {
		return nil, false, err
	}
	return s.get(s.db, key)
}

// Scan calls fn for the keys in [from, to), in order, until fn returns false.
func (s *Store) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := s.usable(); err != nil {
		return err
	}
	return s.scan(s.db, from, to, fn)
}

func (s *Store) get(r pebble.Reader, key []byte) (value []byte, ok bool, err error) {
	defer s.recovered(&err)
	found, closer, err := r.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, s.fail(err)
	}
	value = bytes.Clone(found)
	if err := closer.Close(); err != nil {
		return nil, false, s.fail(err)
	}
	return value, true, nil
}

func (s *Store) scan(r pebble.Reader, from, to []byte, fn func(key, value []byte) bool) (err error) {
	if bytes.Compare(from, to) >= 0 {
		return nil
	}
	if len(from) == 0 {
		from = nil // Pebble's own checks fail on an empty bound
	}
	iter, err := s.newIter(r, from, to)
	if err != nil {
		return err
	}
	for ok := s.step(iter.First, &err); ok; ok = s.step(iter.Next, &err) {
		value, readErr := s.value(iter)
		if readErr != nil {
			err = readErr
			break
		}
		if !fn(iter.Key(), value) {
			break
		}
	}
	if closeErr := s.closeIter(iter); err == nil {
		err = closeErr
	}
	return err
}

// Each call into an iterator recovers from panics on its own, so that a panic in fn
// is not taken for one in Pebble.

func (s *Store) newIter(r pebble.Reader, from, to []byte) (iter *pebble.Iterator, err error) {
	defer s.recovered(&err)
	iter, err = r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, s.fail(err)
	}
	return iter, nil
}

func (s *Store) step(move func() bool, err *error) (ok bool) {
	defer s.recovered(err)
	return move()
}

func (s *Store) value(iter *pebble.Iterator) (value []byte, err error) {
	defer s.recovered(&err)
	value, err = iter.ValueAndErr()
	if err != nil {
		return nil, s.fail(err)
	}
	return value, nil
}

func (s *Store) closeIter(iter *pebble.Iterator) (err error) {
	defer s.recovered(&err)
	if err := iter.Close(); err != nil { // also reports the errors of earlier steps
		return s.fail(err)
	}
	return nil
}

// View returns a snapshot of the store. The data that it pins stays on disk until it
// is closed.
func (s *Store) View() (_ door.View, err error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	defer s.recovered(&err)
	v := &view{store: s, snapshot: s.db.NewSnapshot()}
	s.views[v] = struct{}{}
	return v, nil
}

type view struct {
	store    *Store
	snapshot *pebble.Snapshot // nil once closed
}

// Get is like Store.Get.
func (v *view) Get(key []byte) (value []byte, ok bool, err error) {
	if err := v.usable(); err != nil {
		return nil, false, err
	}
	return v.store.get(v.snapshot, key)
}

// Scan is like Store.Scan.
func (v *view) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := v.usable(); err != nil {
		return err
	}
	return v.store.scan(v.snapshot, from, to, fn)
}

func (v *view) usable() error {
	if v.snapshot == nil {
		return ErrClosed
	}
	return v.store.Err()
}

// Close releases the snapshot. Further calls do nothing.
func (v *view) Close() {
	if v.snapshot == nil {
		return
	}
	snapshot := v.snapshot
	v.snapshot = nil
	delete(v.store.views, v)
	if v.store.Err() != nil {
		return // Pebble may hold its locks forever
	}
	v.store.release(snapshot)
}

func (s *Store) release(snapshot *pebble.Snapshot) {
	var err error
	defer s.recovered(&err)
	if err = snapshot.Close(); err != nil {
		_ = s.fail(err)
	}
}
