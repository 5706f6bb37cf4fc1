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

// Options configure a store.
type Options struct {
	// Dir is the data directory, created if missing. Required.
	Dir string
	// Post runs a function later, as an event of the owner's loop. The store calls
	// it from any goroutine, and it must not wait for the loop. Required.
	Post func(func())
	// Failed is called once, with the first error, on the goroutine that
	// encountered it. The store is unusable from then on, and the process should
	// exit. Failed is called for some errors of Open too, although Open also
	// returns them. Optional.
	Failed func(error)
	// FS is the file system. Default: that of the machine.
	FS vfs.FS
	// CacheBytes limits the cache of blocks. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is how much data Pebble collects in memory before it writes a
	// table. Default 16 MiB.
	MemTableBytes int
	// Logger receives errors, and at debug level what Pebble does. Default: none.
	Logger *slog.Logger
}

const (
	defaultCacheBytes    = 32 << 20
	defaultMemTableBytes = 16 << 20
	// stopMemTables and stopLevel0 are the limits at which Pebble makes the loop
	// wait for background work; by default that is 256 MiB not yet in tables. A
	// healthy disk does not reach them: every write is first synced to the log on
	// the same disk, and the core limits how much waits for that.
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

// A Store implements door.Store. Its methods belong to the loop, except Counters,
// which any goroutine may call.
type Store struct {
	options Options
	db      *pebble.DB
	counts  counts
	failure atomic.Pointer[error]
	ready   atomic.Bool // open
	closed  atomic.Bool

	unsynced bool // something was applied since the last commit with a sync
	views    map[*view]struct{}
	syncs    *syncQueue
}

var _ door.Store = (*Store)(nil)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("the store is closed")

// Open opens the store in a data directory, or creates one. It fails if another
// process is using the directory.
func Open(options Options) (*Store, error) {
	options = options.withDefaults()
	if options.Dir == "" || options.Post == nil {
		return nil, errors.New("opening a store: Dir and Post are required")
	}
	s := &Store{
		options: options,
		// What an earlier process did not sync may still not be synced.
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

// open opens Pebble. It opens a new directory twice, because Pebble would write its
// first log in the oldest format, which does not detect damage.
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

// needsUpgrade reports whether the directory does not have the newest format yet.
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

// openError adds to an error what to do about it.
func openError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") {
		return fmt.Errorf("data directory %s is in use by a running node: stop that node, or give this one a directory of its own (%w)", dir, err)
	}
	return fmt.Errorf("opening the store in %s: %w", dir, err)
}

// Close waits until all commits are synced and their dones posted, and closes the
// store. If the store has failed, Close returns that error after a second at most:
// Pebble may then hang, holding its locks until the process exits.
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

// dropViews makes all views unusable and returns the snapshots to be closed.
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

// usable returns an error if the store is closed or has failed.
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
