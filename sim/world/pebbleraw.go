package world

import (
	"dkv/node/door"
	"dkv/sim/world/crashdisk"
)

// rawMedium is Pebble as in production. Every batch goes to Pebble's log at once, and
// a loss of power leaves what the file system has of Pebble's files. So this medium
// can't follow the disk's draw of what survives.
type rawMedium struct {
	disk     *crashdisk.CrashDisk
	count    func(Fault)
	percents draws
}

func newRawMedium(d *disk) *rawMedium {
	return &rawMedium{
		disk:     crashdisk.NewCrashDisk(true),
		count:    func(f Fault) { d.count(f) },
		percents: draws{random: d.survives.random, purpose: "disk.torn", entity: d.survives.entity},
	}
}

func (m *rawMedium) get(key []byte) ([]byte, bool, error) {
	store, err := m.disk.Store()
	if err != nil {
		return nil, false, err
	}
	return store.Get(key)
}

func (m *rawMedium) scan(from, to []byte, fn func(key, value []byte) bool) error {
	store, err := m.disk.Store()
	if err != nil {
		return err
	}
	return store.Scan(from, to, fn)
}

func (m *rawMedium) view() (door.View, error) {
	store, err := m.disk.Store()
	if err != nil {
		return nil, err
	}
	return store.View()
}

func (m *rawMedium) apply(b *door.Batch, synced bool) error { return m.disk.Commit(b, synced) }

// harden makes the rest durable as well, because Pebble syncs all that it has.
func (m *rawMedium) harden(_, _ []pending) error { return m.disk.Sync() }

// crash keeps nothing, some blocks, or all of what was written and not synced.
func (m *rawMedium) crash(_, _ []pending) bool {
	word := m.percents.word()
	percent := [...]int{0, 30, 70, 100}[word%4]
	unsynced := m.disk.PowerLoss(percent, word)
	if unsynced && percent > 0 && percent < 100 {
		m.count(faultTorn)
	}
	return unsynced && percent == 0
}

func (m *rawMedium) shutDown(_ []pending) { _ = m.disk.Close() } // an error shows at the next start

func (m *rawMedium) open() error {
	_, err := m.disk.Store()
	return err
}

func (m *rawMedium) flip(what Fault, word uint64) bool {
	if what == faultFlipLog {
		return m.disk.Flip(crashdisk.DamagedLog, word)
	}
	return m.disk.Flip(crashdisk.DamagedTable, word)
}

func (m *rawMedium) close() { _ = m.disk.Close() }
