package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that Pebble uses. Once the store has failed, it is frozen:
// changes no longer reach the files, but disk reports them as successful. To the
// files it looks as if the process had died at the first error.
//
// disk lies to Pebble because Pebble does not survive the truth. After an error of
// the log it panics with its locks in disorder, so that nothing can recover (in
// DB.rotateWAL, under a deferred unlock of a mutex that is not locked); after an
// error of the manifest it exits the process. The lie goes no further: Store.await
// checks for a failure before it acknowledges what Pebble takes for synced.
type disk struct {
	vfs.FS
	store *Store
	// ready is set once the store is open. Until then Open returns errors itself.
	ready *atomic.Bool
}

func (d disk) frozen() bool { return d.store.Err() != nil }

// report makes the store fail if a change failed. It returns true if the store has
// failed, in which case the caller must pretend that the change succeeded.
func (d disk) report(what, name string, err error) bool {
	if d.frozen() {
		return true
	}
	if err == nil || !d.ready.Load() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return false
	}
	_ = d.store.fail(fmt.Errorf("%s %s: %w", what, name, err))
	return true
}

// change changes the names of files.
func (d disk) change(what, name string, make func() error) error {
	if d.frozen() {
		return nil
	}
	err := make()
	if d.report(what, name, err) {
		return nil
	}
	return err
}

// open opens a file for writing.
func (d disk) open(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if d.frozen() {
		return nowhere{name: name}, nil
	}
	file, err := open()
	if err != nil {
		if d.report("creating", name, err) {
			return nowhere{name: name}, nil
		}
		return nil, err
	}
	return &diskFile{File: file, disk: d, name: name, log: strings.HasSuffix(name, ".log")}, nil
}

func (d disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.Create(name, category) })
}

func (d disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, options...) })
}

func (d disk) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(to, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, to, category) })
}

// OpenDir opens a directory in order to sync it.
func (d disk) OpenDir(name string) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

func (d disk) Link(from, to string) error {
	return d.change("linking", to, func() error { return d.FS.Link(from, to) })
}

func (d disk) Remove(name string) error {
	return d.change("removing", name, func() error { return d.FS.Remove(name) })
}

func (d disk) RemoveAll(name string) error {
	return d.change("removing", name, func() error { return d.FS.RemoveAll(name) })
}

func (d disk) Rename(from, to string) error {
	return d.change("renaming", from, func() error { return d.FS.Rename(from, to) })
}

// Unwrap returns the underlying file system; Pebble asks for it.
func (d disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file that is open for writing.
type diskFile struct {
	vfs.File
	disk disk
	name string
	log  bool // belongs to the write-ahead log
}

func (f *diskFile) Write(p []byte) (int, error) {
	if f.disk.frozen() {
		return len(p), nil
	}
	n, err := f.File.Write(p)
	if f.log {
		f.disk.store.counts.walBytes.Add(uint64(n))
	}
	if f.disk.report("writing", f.name, err) {
		return len(p), nil
	}
	return n, err
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.frozen() {
		return len(p), nil
	}
	n, err := f.File.WriteAt(p, at)
	if f.disk.report("writing", f.name, err) {
		return len(p), nil
	}
	return n, err
}

func (f *diskFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *diskFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *diskFile) sync(sync func() error) error {
	if f.disk.frozen() {
		return nil
	}
	if f.log {
		f.disk.store.counts.walSyncs.Add(1)
	}
	err := sync()
	if f.disk.report("syncing", f.name, err) {
		return nil
	}
	return err
}

// SyncTo may only start to write data back; then it counts as no sync.
func (f *diskFile) SyncTo(length int64) (fullSync bool, err error) {
	if f.disk.frozen() {
		return false, nil
	}
	fullSync, err = f.File.SyncTo(length)
	if f.log && fullSync {
		f.disk.store.counts.walSyncs.Add(1)
	}
	if f.disk.report("syncing", f.name, err) {
		return false, nil
	}
	return fullSync, err
}

func (f *diskFile) Preallocate(offset, length int64) error {
	if f.disk.frozen() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

func (f *diskFile) Close() error {
	err := f.File.Close()
	if f.disk.report("closing", f.name, err) {
		return nil
	}
	return err
}

// nowhere is a file created on a frozen disk. It discards what is written.
type nowhere struct{ name string }

func (nowhere) Write(p []byte) (int, error)            { return len(p), nil }
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nowhere) Read([]byte) (int, error)               { return 0, io.EOF }
func (nowhere) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nowhere) Preallocate(_, _ int64) error           { return nil }
func (nowhere) Prefetch(_, _ int64) error              { return nil }
func (nowhere) Sync() error                            { return nil }
func (nowhere) SyncData() error                        { return nil }
func (nowhere) SyncTo(int64) (bool, error)             { return false, nil }
func (nowhere) Fd() uintptr                            { return vfs.InvalidFd }
func (nowhere) Close() error                           { return nil }

func (n nowhere) Stat() (vfs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: n.name, Err: fs.ErrNotExist}
}
