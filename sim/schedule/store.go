package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// Store is the implementation that holds the contents of the simulated disks.
type Store string

// The stores. Faults of a disk are drawn independently of its store, except those
// that only PebbleRaw has.
const (
	// ModelStore is a tree in memory.
	ModelStore Store = "model"
	// PebbleStore keeps what is durable in Pebble. A run takes the same steps as
	// with the model.
	PebbleStore Store = "pebble"
	// PebbleRaw is Pebble as in production, over files that a power loss tears and
	// in which bits flip. Safety is checked, but two runs of a schedule may differ.
	PebbleRaw Store = "pebble-raw"
)

// Stores returns all stores. The first is the default.
func Stores() []Store { return []Store{ModelStore, PebbleStore, PebbleRaw} }

// ParseStore parses the name of a store.
func ParseStore(name string) (Store, error) {
	if s := Store(name); slices.Contains(Stores(), s) {
		return s, nil
	}
	return "", fmt.Errorf("unknown store %q (want one of %s)", name, strings.Join(StoreNames(), ", "))
}

// StoreNames returns the names of all stores.
func StoreNames() []string {
	var names []string
	for _, s := range Stores() {
		names = append(names, string(s))
	}
	return names
}
