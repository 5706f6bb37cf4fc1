package zkserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cespare/xxhash/v2"

	"dkv/zksim/zktree"
)

// openWAL locks a directory and recovers the state in it. It returns an error, which
// says what is wrong and what to do, if another process uses the directory, or if
// acknowledged data in it is damaged.
func openWAL(dir string, logger *slog.Logger, fail func(error)) (*wal, *zktree.Tree, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("zkserver: creating the data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, nil, err
	}
	w := &wal{dir: dir, logger: logger, fail: fail, lock: lock, submitted: make(chan batch, maxGroups)}
	tree, err := w.recover()
	if err != nil {
		_ = lock.Close() // nothing was written
		return nil, nil, err
	}
	w.running.Add(1)
	go w.run()
	return w, tree, nil
}

// lockDir keeps other processes out until the file is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("zkserver: opening the lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // the lock's error says more
		return nil, fmt.Errorf("zkserver: data directory %s is in use by another process; stop that one or use another directory: %w", dir, err)
	}
	return f, nil
}

// recover loads the newest snapshot and replays every log from its generation on. The
// last log may end in an incomplete block.
func (w *wal) recover() (*zktree.Tree, error) {
	logs, snapshots, err := w.generations()
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 && len(snapshots) == 0 {
		return w.begin()
	}
	tree, from := zktree.NewTree(), uint64(0)
	if len(snapshots) > 0 {
		from = snapshots[len(snapshots)-1]
		if tree, err = w.loadSnapshot(from); err != nil {
			return nil, err
		}
	}
	if err := w.removeBefore(from, logs, snapshots); err != nil {
		return nil, err
	}
	logs = slices.DeleteFunc(logs, func(gen uint64) bool { return gen < from })
	for i, gen := range logs {
		if gen != from+uint64(i) {
			return nil, w.missing(from + uint64(i))
		}
		if err := w.replay(tree, gen, i == len(logs)-1); err != nil {
			return nil, err
		}
	}
	if len(logs) == 0 {
		return nil, w.missing(from)
	}
	return tree, nil
}

func (w *wal) missing(gen uint64) error {
	return fmt.Errorf("zkserver: %s is missing from %s; restore the directory as a whole, or remove it to start empty", logName(gen), w.dir)
}

// begin creates the first log of an empty directory.
func (w *wal) begin() (*zktree.Tree, error) {
	file, err := w.createLog(0, 0)
	if err != nil {
		return nil, err
	}
	w.file, w.gen, w.offset = file, 0, logHeaderBytes
	return zktree.NewTree(), nil
}

// generations lists the generations of logs and snapshots, ascending, and removes
// unfinished files.
func (w *wal) generations() (logs, snapshots []uint64, err error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("zkserver: reading the data directory: %w", err)
	}
	for _, entry := range entries {
		kind, digits, _ := strings.Cut(entry.Name(), "-")
		if kind != "log" && kind != "snapshot" {
			continue
		}
		if strings.HasSuffix(digits, ".tmp") {
			if err := os.Remove(w.path(entry.Name())); err != nil {
				return nil, nil, fmt.Errorf("zkserver: removing an unfinished file: %w", err)
			}
			continue
		}
		gen, err := strconv.ParseUint(digits, 16, 64)
		if err != nil || len(digits) != 16 {
			continue // not one of our files
		}
		if kind == "log" {
			logs = append(logs, gen)
		} else {
			snapshots = append(snapshots, gen)
		}
	}
	return logs, snapshots, nil // ascending: ReadDir sorts, and all names are of one length
}

func (w *wal) removeBefore(from uint64, logs, snapshots []uint64) error {
	for _, gen := range logs {
		if gen < from {
			if err := os.Remove(w.path(logName(gen))); err != nil {
				return fmt.Errorf("zkserver: removing a file that a snapshot replaced: %w", err)
			}
		}
	}
	for _, gen := range snapshots {
		if gen < from {
			if err := os.Remove(w.path(snapshotName(gen))); err != nil {
				return fmt.Errorf("zkserver: removing a file that a snapshot replaced: %w", err)
			}
		}
	}
	return nil
}

func (w *wal) loadSnapshot(gen uint64) (*zktree.Tree, error) {
	name := w.path(snapshotName(gen))
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("zkserver: reading a snapshot: %w", err)
	}
	tree, err := decodeSnapshot(b, gen)
	if err != nil {
		return nil, fmt.Errorf("zkserver: loading snapshot %s, which is damaged and has no earlier log left to replace it: %w; restore the directory from a copy", name, err)
	}
	return tree, nil
}

var errChecksum = errors.New("checksum does not match")

func decodeSnapshot(b []byte, gen uint64) (*zktree.Tree, error) {
	if len(b) < snapshotOverhead || string(b[:8]) != snapshotMagic {
		return nil, errors.New("it is not a snapshot file")
	}
	end := len(b) - 8
	if xxhash.Sum64(b[:end]) != binary.BigEndian.Uint64(b[end:]) {
		return nil, errChecksum
	}
	if got := binary.BigEndian.Uint64(b[8:]); got != gen {
		return nil, fmt.Errorf("its generation is %d instead of that in its name", got)
	}
	img, err := decodeImage(b[16:end])
	if err != nil {
		return nil, err
	}
	return zktree.Import(img)
}

// replay applies a log to the tree. If it is the last one, it is opened for writing,
// and an incomplete block at its end is removed.
func (w *wal) replay(tree *zktree.Tree, gen uint64, last bool) error {
	name := w.path(logName(gen))
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("zkserver: reading the log: %w", err)
	}
	end, err := replayLog(tree, b, gen)
	if err != nil {
		return fmt.Errorf("zkserver: replaying %s: %w; restore the directory from a copy, or remove it to start empty", name, err)
	}
	if end < len(b) && !last {
		return fmt.Errorf("zkserver: replaying %s: it is damaged at byte %d, and a later log follows it; restore the directory from a copy, or remove it to start empty", name, end)
	}
	if !last {
		return nil
	}
	if end < len(b) {
		w.logger.Warn("dropped an incomplete write at the end of the log; it was never acknowledged", "file", name, "bytes", len(b)-end)
	}
	return w.resume(name, gen, int64(end))
}

func (w *wal) resume(name string, gen uint64, end int64) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("zkserver: opening the log: %w", err)
	}
	if err := file.Truncate(end); err != nil {
		_ = file.Close() // the first error says more
		return fmt.Errorf("zkserver: removing the incomplete end of the log: %w", err)
	}
	if err := file.Sync(); err != nil {
		_ = file.Close() // the first error says more
		return fmt.Errorf("zkserver: syncing the log: %w", err)
	}
	w.file, w.gen, w.offset, w.size = file, gen, end, end
	return nil
}

// replayLog applies every good block and returns where they end. A bad block followed
// by a good one is an error: it was acknowledged, so it cannot be a write that a
// crash cut short.
func replayLog(tree *zktree.Tree, b []byte, gen uint64) (end int, err error) {
	if err := checkLogHeader(b, gen, tree.Zxid()); err != nil {
		return 0, err
	}
	at := logHeaderBytes
	for at < len(b) {
		records, ok := blockAt(b, gen, at)
		if !ok {
			if goodBlockAfter(b, gen, at) {
				return 0, fmt.Errorf("acknowledged transactions after zxid %#x are damaged, at byte %d", tree.Zxid(), at)
			}
			return at, nil
		}
		if err := replayBlock(tree, records); err != nil {
			return 0, fmt.Errorf("block at byte %d: %w", at, err)
		}
		at += blockHeaderBytes + len(records)
	}
	return at, nil
}

func checkLogHeader(b []byte, gen uint64, zxid int64) error {
	if len(b) < logHeaderBytes || string(b[:8]) != logMagic {
		return errors.New("it is not a log file")
	}
	if xxhash.Sum64(b[:24]) != binary.BigEndian.Uint64(b[24:]) {
		return fmt.Errorf("its header is damaged: %w", errChecksum)
	}
	if got := binary.BigEndian.Uint64(b[8:]); got != gen {
		return fmt.Errorf("its generation is %d instead of that in its name", got)
	}
	if got := int64(binary.BigEndian.Uint64(b[16:])); got != zxid {
		return fmt.Errorf("it begins after zxid %#x, but the files before it end at %#x", got, zxid)
	}
	return nil
}

func replayBlock(tree *zktree.Tree, records []byte) error {
	d := decoder{b: records}
	for len(d.b) > 0 {
		record := d.buffer()
		if d.err != nil {
			return d.err
		}
		txn, err := decodeTxn(record)
		if err != nil {
			return err
		}
		if txn.Zxid != tree.Zxid()+1 {
			return fmt.Errorf("zxid %#x follows zxid %#x", txn.Zxid, tree.Zxid())
		}
		if r := tree.Apply(&txn); r.Failed && txn.Code != opNothing {
			return fmt.Errorf("transaction %#x succeeded when it was written, but fails now: %w", txn.Zxid, r.Err)
		}
	}
	return nil
}
