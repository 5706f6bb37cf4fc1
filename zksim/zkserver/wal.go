package zkserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"dkv/zksim/zktree"
)

// The data directory holds these files:
//
//	log-<g>       the transactions of generation g
//	snapshot-<g>  the state at the start of log-<g>; none for g = 0
//
// A log file is a header followed by blocks. A block is what one sync covers, and is
// written only after the block before it has been synced. So a bad block with a good
// one after it was synced and may have been acknowledged: recovery refuses to lose
// it. A bad block with no good one after it may be a write that a crash cut short:
// recovery drops it.
//
// When a log has grown, the log of the next generation begins, and the snapshot that
// it needs is written in the background; then the older generation is removed.
// Recovery loads the newest snapshot and replays all logs from its generation on.

const (
	logMagic      = "dkvzkl01"
	snapshotMagic = "dkvzks01"
	blockMagic    = "BLK\xa7"

	logHeaderBytes   = 8 + 8 + 8 + 8 // magic, generation, zxid before, checksum
	blockHeaderBytes = 4 + 4 + 8     // magic, length, checksum
	maxBlockBytes    = 64 << 20      // bound of a block's records
	groupBytes       = 8 << 20       // a sync covers no further turn once it has this
	turnBytes        = 4 << 20       // a turn ends when it has written this
	maxGroups        = 16            // turns that may wait for the sync
	snapshotOverhead = 8 + 8 + 8     // magic, generation, checksum
)

type wal struct {
	dir    string
	logger *slog.Logger
	fail   func(error)
	lock   *os.File

	submitted chan batch
	running   sync.WaitGroup
	broken    atomic.Bool // it failed; nothing more is written or released
	busy      atomic.Bool // a snapshot is being written

	size int64 // of the current log; guarded by the turn

	// Used by the syncing goroutine only, but for syncs.
	file   *os.File
	gen    uint64
	offset int64
	block  []byte
	syncs  atomic.Int64 // number of them so far
}

func logName(gen uint64) string      { return fmt.Sprintf("log-%016x", gen) }
func snapshotName(gen uint64) string { return fmt.Sprintf("snapshot-%016x", gen) }

func (w *wal) path(name string) string { return filepath.Join(w.dir, name) }

// grown returns the length of the log once n more bytes are in it.
func (w *wal) grown(n int) int64 { return w.size + int64(n) }

func (w *wal) snapshotting() bool { return w.busy.Load() }

// submit passes a turn to the syncing goroutine, which releases its output once it is
// durable.
func (w *wal) submit(b batch) {
	w.size += int64(len(b.log))
	if b.rotate != nil {
		w.size = 0
		w.busy.Store(true)
	}
	w.submitted <- b // never blocks for ever: a broken log is still emptied
}

// run syncs turns in their order. One sync covers all that wait.
func (w *wal) run() {
	defer w.running.Done()
	for b := range w.submitted {
		group := w.gather(b)
		if w.broken.Load() {
			continue
		}
		if err := w.sync(group); err != nil {
			w.giveUp(err)
			continue
		}
		for i := range group {
			group[i].release()
		}
		if img := group[len(group)-1].rotate; img != nil {
			if err := w.rotate(img); err != nil {
				w.giveUp(err)
			}
		}
	}
}

// gather returns the turns that share a sync. A turn that ends a log is the last of
// its group.
func (w *wal) gather(first batch) []batch {
	group := []batch{first}
	size := len(first.log)
	for group[len(group)-1].rotate == nil && size < groupBytes {
		select {
		case b, ok := <-w.submitted:
			if !ok {
				return group
			}
			group = append(group, b)
			size += len(b.log)
		default:
			return group
		}
	}
	return group
}

func (w *wal) giveUp(err error) {
	w.broken.Store(true)
	w.fail(err)
}

// sync makes a group durable as one block. A group that wrote nothing needs no sync,
// since everything that its turns saw has been synced before.
func (w *wal) sync(group []batch) error {
	w.block = append(w.block[:0], make([]byte, blockHeaderBytes)...)
	for i := range group {
		w.block = append(w.block, group[i].log...)
	}
	if len(w.block) == blockHeaderBytes {
		return nil
	}
	sealBlock(w.block, w.gen, w.offset)
	if _, err := w.file.WriteAt(w.block, w.offset); err != nil {
		return fmt.Errorf("zkserver: writing %s: %w", w.file.Name(), err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("zkserver: syncing %s: %w", w.file.Name(), err)
	}
	w.syncs.Add(1)
	w.offset += int64(len(w.block))
	if cap(w.block) > 1<<20 {
		w.block = nil
	}
	return nil
}

// sealBlock fills in a block's header. The checksum covers the generation and the
// offset, so that a block from another place is not mistaken for it.
func sealBlock(block []byte, gen uint64, offset int64) {
	records := block[blockHeaderBytes:]
	copy(block, blockMagic)
	binary.BigEndian.PutUint32(block[4:], uint32(len(records)))
	binary.BigEndian.PutUint64(block[8:], blockSum(records, gen, offset))
}

func blockSum(records []byte, gen uint64, offset int64) uint64 {
	var where [20]byte
	binary.BigEndian.PutUint64(where[:], gen)
	binary.BigEndian.PutUint64(where[8:], uint64(offset))
	binary.BigEndian.PutUint32(where[16:], uint32(len(records)))
	d := xxhash.New()
	_, _ = d.Write(where[:])
	_, _ = d.Write(records)
	return d.Sum64()
}

// blockAt returns the records of the block at offset; ok is false if there is no good
// block.
func blockAt(log []byte, gen uint64, offset int) (records []byte, ok bool) {
	rest := log[offset:]
	if len(rest) < blockHeaderBytes || string(rest[:4]) != blockMagic {
		return nil, false
	}
	n := binary.BigEndian.Uint32(rest[4:])
	if n > maxBlockBytes || int(n) > len(rest)-blockHeaderBytes {
		return nil, false
	}
	records = rest[blockHeaderBytes:][:n:n]
	return records, binary.BigEndian.Uint64(rest[8:]) == blockSum(records, gen, int64(offset))
}

// goodBlockAfter reports whether any good block follows a bad one.
func goodBlockAfter(log []byte, gen uint64, bad int) bool {
	for at := bad + 1; at < len(log); {
		next := bytes.Index(log[at:], []byte(blockMagic))
		if next < 0 {
			return false
		}
		if _, ok := blockAt(log, gen, at+next); ok {
			return true
		}
		at += next + 1
	}
	return false
}

// rotate begins the log of the next generation and writes its snapshot in the
// background.
func (w *wal) rotate(img *zktree.Image) error {
	next := w.gen + 1
	file, err := w.createLog(next, img.Zxid)
	if err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("zkserver: closing %s: %w", w.file.Name(), err)
	}
	w.file, w.gen, w.offset = file, next, logHeaderBytes
	w.running.Add(1)
	go func() {
		defer w.running.Done()
		if err := w.writeSnapshot(next, img); err != nil {
			w.giveUp(err)
			return
		}
		w.logger.Info("snapshot written", "generation", next, "zxid", fmt.Sprintf("%#x", img.Zxid), "nodes", len(img.Nodes))
		w.busy.Store(false)
	}()
	return nil
}

// writeSnapshot makes a generation's snapshot durable, then removes the
// generation before it.
func (w *wal) writeSnapshot(gen uint64, img *zktree.Image) error {
	body := encodeImage(img)
	b := make([]byte, 0, len(body)+snapshotOverhead)
	b = append(b, snapshotMagic...)
	b = binary.BigEndian.AppendUint64(b, gen)
	b = append(b, body...)
	b = binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
	if err := w.install(snapshotName(gen), b); err != nil {
		return err
	}
	for _, name := range []string{logName(gen - 1), snapshotName(gen - 1)} {
		if err := os.Remove(w.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("zkserver: removing a file that a snapshot replaced: %w", err)
		}
	}
	return syncDir(w.dir)
}

func (w *wal) createLog(gen uint64, zxid int64) (*os.File, error) {
	b := append([]byte(nil), logMagic...)
	b = binary.BigEndian.AppendUint64(b, gen)
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	b = binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
	if err := w.install(logName(gen), b); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(w.path(logName(gen)), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("zkserver: opening the log: %w", err)
	}
	return file, nil
}

// install creates a file atomically: after a crash it is complete or missing.
func (w *wal) install(name string, content []byte) error {
	if err := writeSynced(w.path(name+".tmp"), content); err != nil {
		return fmt.Errorf("zkserver: writing %s: %w", name, err)
	}
	if err := os.Rename(w.path(name+".tmp"), w.path(name)); err != nil {
		return fmt.Errorf("zkserver: renaming %s into place: %w", name, err)
	}
	return syncDir(w.dir)
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		_ = f.Close() // the write's error says more
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close() // the sync's error says more
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("zkserver: opening the data directory: %w", err)
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("zkserver: syncing the data directory: %w", err)
	}
	return nil
}

// close syncs what was submitted and unlocks the directory.
func (w *wal) close() error {
	close(w.submitted)
	w.running.Wait()
	err := w.file.Close()
	if lockErr := w.lock.Close(); err == nil {
		err = lockErr
	}
	return err
}
