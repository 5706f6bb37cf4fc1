package pebblestore_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/node/door"
	"dkv/node/pebblestore"
)

// heldSyncs stops every sync of the log until the test ends it. Pebble has one sync
// of the log under way at a time; what is committed during it waits for the next.
type heldSyncs struct {
	holding  atomic.Bool
	begun    chan chan error
	released chan struct{} // closed when no sync is held any more
}

func (*heldSyncs) String() string { return "held syncs" }

func (h *heldSyncs) MaybeError(op errorfs.Op) error {
	if !h.holding.Load() || !isSync(op) || !strings.HasSuffix(op.Path, ".log") {
		return nil
	}
	end := make(chan error)
	select {
	case h.begun <- end:
	case <-h.released:
		return nil
	}
	select {
	case err := <-end:
		return err
	case <-h.released:
		return nil
	}
}

// heldStore is a store whose syncs, and whose dones on their way to the loop, are
// in the hands of the test.
type heldStore struct {
	*loop
	t     *testing.T
	store *pebblestore.Store
	syncs *heldSyncs
	posts sync.Mutex // locked: a done has been decided and is not yet posted
	ended []string   // the dones that ran, with "!" after those with an error
}

func openHeld(t *testing.T) *heldStore {
	t.Helper()
	syncs := &heldSyncs{begun: make(chan chan error), released: make(chan struct{})}
	h := &heldStore{loop: newLoop(), t: t, syncs: syncs}
	store, err := pebblestore.Open(pebblestore.Options{
		Dir: "data",
		FS:  errorfs.Wrap(vfs.NewMem(), syncs),
		Post: func(fn func()) {
			h.posts.Lock()
			defer h.posts.Unlock()
			h.post(fn)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.store = store
	syncs.holding.Store(true)
	t.Cleanup(func() {
		close(syncs.released)
		_ = store.Close()
	})
	return h
}

// commit makes a commit with a done. An empty name makes it an empty batch, whose done
// is listed as "-".
func (h *heldStore) commit(name string) {
	b := &door.Batch{}
	if name == "" {
		name = "-"
	} else {
		b.Put([]byte(name), []byte("value"))
	}
	h.store.Commit(b, func(err error) {
		if err != nil {
			name += "!"
		}
		h.ended = append(h.ended, name)
	})
}

// syncBegins waits for the next sync of the log, which then stands still.
func (h *heldStore) syncBegins() (end chan<- error) {
	h.t.Helper()
	select {
	case end := <-h.syncs.begun:
		return end
	case <-time.After(patience):
		h.t.Fatal("no sync of the log begins")
		return nil
	}
}

// want checks which dones have run, in their order, and that no other follows
// before the next sync ends.
func (h *heldStore) want(when string, dones ...string) {
	h.t.Helper()
	h.RunUntil(func() bool { return len(h.ended) >= len(dones) })
	h.Settle()
	if !slices.Equal(h.ended, dones) {
		h.t.Fatalf("%s the dones of %q have run; want %q", when, h.ended, dones)
	}
}

// group leaves two commits for the store to await as one group, although each has a
// sync of its own. The sync of the first is under way, and its end is returned.
func (h *heldStore) group(first, second string) (end chan<- error) {
	h.t.Helper()
	func() {
		h.posts.Lock()
		defer h.posts.Unlock()
		h.commit("before")
		h.syncBegins() <- nil // its done is on its way, so the store takes no other commit
		h.commit(first)
		end = h.syncBegins()
		h.commit(second)
	}()
	h.want("before the sync of the group's first commit ends,", "before")
	return end
}

func TestADoneWaitsForItsOwnSync(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		h := openHeld(t)
		h.commit("a")
		end := h.syncBegins()
		h.want("during the sync")
		end <- nil
		h.want("after the sync", "a")
	})
	t.Run("committed during a sync", func(t *testing.T) {
		h := openHeld(t)
		h.commit("a")
		first := h.syncBegins()
		h.commit("b")
		h.commit("c")
		h.want("during the first sync")
		first <- nil
		h.want("before the second sync ends", "a")
		second := h.syncBegins()
		second <- nil
		h.want("after both syncs", "a", "b", "c")
	})
	t.Run("group", func(t *testing.T) {
		h := openHeld(t)
		h.group("a", "b") <- nil
		h.want("before the sync of the group's second commit ends", "before", "a")
		second := h.syncBegins()
		second <- nil
		h.want("after both syncs", "before", "a", "b")
	})
}

func TestAnEmptyBatchWaitsForWhatIsBeforeIt(t *testing.T) {
	t.Run("behind a commit with a done", func(t *testing.T) {
		h := openHeld(t)
		h.commit("a")
		end := h.syncBegins()
		h.commit("")
		h.want("during the sync")
		end <- nil
		h.want("after the sync", "a", "-")
	})
	t.Run("behind a commit without a done", func(t *testing.T) {
		h := openHeld(t)
		h.store.Commit(batchOf("a", "value"), nil)
		h.commit("")
		h.want("before the sync ends")
		end := h.syncBegins()
		end <- nil
		h.want("after the sync", "-")
	})
	t.Run("last of a group", func(t *testing.T) {
		h := openHeld(t)
		first := h.group("a", "b")
		h.commit("")
		first <- nil
		h.want("before the sync of the second commit ends", "before", "a")
		second := h.syncBegins()
		second <- nil
		h.want("after both syncs", "before", "a", "b", "-")
	})
	t.Run("with nothing before it", func(t *testing.T) {
		h := openHeld(t)
		h.commit("a")
		h.syncBegins() <- nil
		h.want("after the sync", "a")
		h.commit("")
		h.want("without another sync", "a", "-")
	})
}

// TestAFailedSyncEndsEveryLaterCommit also covers commits that Pebble takes for
// durable, because the frozen disk tells it so.
func TestAFailedSyncEndsEveryLaterCommit(t *testing.T) {
	broken := errors.New("the disk is broken")
	t.Run("single", func(t *testing.T) {
		h := openHeld(t)
		h.commit("a")
		h.syncBegins() <- broken
		h.want("after the failed sync", "a!")
		h.commit("b")
		h.commit("")
		h.want("after the failed sync", "a!", "b!", "-!")
	})
	t.Run("first of a group", func(t *testing.T) {
		h := openHeld(t)
		first := h.group("a", "b")
		h.commit("")
		first <- broken
		h.want("after the failed sync", "before", "a!", "b!", "-!")
	})
	t.Run("last of a group", func(t *testing.T) {
		h := openHeld(t)
		first := h.group("a", "b")
		h.commit("")
		first <- nil
		h.want("before the second sync ends", "before", "a")
		second := h.syncBegins()
		second <- broken
		h.want("after the failed sync", "before", "a", "b!", "-!")
	})
}
