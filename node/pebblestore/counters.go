package pebblestore

import "sync/atomic"

// Counters holds counts since the store was opened.
type Counters struct {
	Commits  uint64 // batches written to the log
	Synced   uint64 // batches with a done
	Bytes    uint64 // size of the batches
	WALSyncs uint64 // fsync and fdatasync calls on files of the log, successful or not
	WALBytes uint64 // bytes written to files of the log
	Stalls   uint64 // times that a commit waited for background work
}

// Counters returns the counters. It may be called from any goroutine.
func (s *Store) Counters() Counters {
	return Counters{
		Commits:  s.counts.commits.Load(),
		Synced:   s.counts.synced.Load(),
		Bytes:    s.counts.bytes.Load(),
		WALSyncs: s.counts.walSyncs.Load(),
		WALBytes: s.counts.walBytes.Load(),
		Stalls:   s.counts.stalls.Load(),
	}
}

type counts struct {
	commits, synced, bytes, walSyncs, walBytes, stalls atomic.Uint64
}
