package pebblestore

import (
	"dkv/node/door"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where a store is and who owns it.
type Options struct {
	// Dir is the data directory. It is created if need be. Required.
	Dir string
	// Post takes a function to run later, as an event of the owner's loop. It
	// may be called from any goroutine and must not wait for the loop.
	// Required.
	Post func(func())
	// Failed is told the first error, once, on whatever goroutine met it. The
	// store is of no use from then on, and the process should end. It is told
	// of some errors of Open too, which are returned as well. Optional.
	Failed func(error)
	// FS is the file system. Default: the machine's.
	FS vfs.FS
	// CacheBytes bounds the cache of blocks read. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is how much is kept in memory before it becomes a file.
	// Default 16 MiB.
	MemTableBytes int
	// Logger is told what Pebble does (at debug level) and what goes wrong.
	// Default: nobody.
	Logger *slog.Logger
}

const (
	defaultCacheBytes    = 32 << 20
	defaultMemTableBytes = 16 << 20
	// stopMemTables and stopLevel0 are where Pebble makes the loop wait for its
	// background work: 256 MiB not yet in tables, by default. Every write is
	// synced to the log first, which goes to the same disk, and the core bounds
	// what waits for that; so it takes a disk that fails its background work.
	stopMemTables = 16
	stopLevel0    = 1000
	bloomBits     = 10
	closeTime     = time.Second // for Close after an error
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is a node.Store. Its methods belong to the loop, but for Counters,
// which may be called from any goroutine.
type Store struct {
	options Options
	db      *pebble.DB
	counts  counts
	failure atomic.Pointer[error]
	ready   atomic.Bool // open
	closed  atomic.Bool

	unsynced bool // something was applied since the last commit that asked for a sync
	views    map[*view]struct{}
	syncs    *syncQueue
}

var _ door.Store = (*Store)(nil)

// ErrClosed is what a store answers after Close.
var ErrClosed = errors.New("the store is closed")

// Open opens the store of a data directory, or makes one. A directory that
// another process uses is refused.
func Open(options Options) (*Store, error) {
	options = options.withDefaults()
	if options.Dir == "" || options.Post == nil {
		return nil, errors.New("opening a store: Dir and Post are required")
	}
	s := &Store{
		options: options,
		// What a former process left unsynced may be unsynced still.
		unsynced: true,
		views:    make(map[*view]struct{}),
	}
	if err := s.open(); err != nil {
		return nil, openError(options.Dir, err)
	}
	s.ready.Store(true)
	s.syncs = newSyncQueue()
	go s.awaitSyncs()
	return s, nil
}

// open opens Pebble. A new directory is opened twice: its first log would be
// written in the oldest format, in which damage goes unnoticed.
func (s *Store) open() error {
	fresh, err := s.needsUpgrade()
	if err != nil {
		return err
	}
	if fresh {
		db, err := s.openPebble()
		if err != nil {
			return err
		}
		if err := db.Close(); err != nil {
			return err
		}
	}
	s.db, err = s.openPebble()
	return err
}

// needsUpgrade says whether the directory is not of the newest format yet.
func (s *Store) needsUpgrade() (bool, error) {
	found, err := pebble.Peek(s.options.Dir, s.options.FS)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	}
	return !found.Exists || found.FormatMajorVersion < pebble.FormatNewest, nil
}

func (s *Store) openPebble() (db *pebble.DB, err error) {
	defer s.recovered(&err)
	return pebble.Open(s.options.Dir, s.pebbleOptions())
}

func (s *Store) pebbleOptions() *pebble.Options {
	listener := s.listener()
	options := &pebble.Options{
		FS:                          disk{FS: s.options.FS, store: s, ready: &s.ready},
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   s.options.CacheBytes,
		MemTableSize:                uint64(s.options.MemTableBytes),
		MemTableStopWritesThreshold: stopMemTables,
		L0StopWritesThreshold:       stopLevel0,
		Logger:                      logger{store: s},
		EventListener:               &listener,
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return options
}

// openError says what to do about a directory that can't be opened.
func openError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") {
		return fmt.Errorf("data directory %s is in use by a running node: stop that node, or give this one a directory of its own (%w)", dir, err)
	}
	return fmt.Errorf("opening the store in %s: %w", dir, err)
}

// Close waits until the commits made so far are synced and their dones posted,
// and closes the store. After an error, which it returns, it waits a second at
// most: Pebble may hang then, and keeps its locks until the process ends.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return ErrClosed
	}
	s.syncs.close()
	snapshots := s.dropViews()
	closed := make(chan error, 1)
	go func() {
		<-s.syncs.ended
		closed <- s.closePebble(snapshots)
	}()
	if s.Err() == nil {
		<-s.syncs.ended
	}
	if s.Err() != nil {
		select {
		case <-closed:
		case <-time.After(closeTime):
		}
		return s.Err()
	}
	err := <-closed
	if failure := s.Err(); failure != nil {
		return failure
	}
	return err
}

// dropViews closes the Views as far as the caller can see.
func (s *Store) dropViews() []*pebble.Snapshot {
	var snapshots []*pebble.Snapshot
	for v := range s.views {
		snapshots = append(snapshots, v.snapshot)
		v.snapshot = nil
	}
	clear(s.views)
	return snapshots
}

func (s *Store) closePebble(snapshots []*pebble.Snapshot) (err error) {
	defer s.recovered(&err)
	for _, snapshot := range snapshots {
		s.release(snapshot)
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the store in %s: %w", s.options.Dir, err)
	}
	return nil
}

// usable says why the store can't be used, if it can't.
func (s *Store) usable() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.Err()
}

// Rotate begins a new log and a new table in memory, and writes the former one
// to the disk in the background.
func (s *Store) Rotate() (err error) {
	defer s.recovered(&err)
	if err := s.usable(); err != nil {
		return err
	}
	if _, err := s.db.AsyncFlush(); err != nil {
		return s.fail(err)
	}
	return s.Err()
}
