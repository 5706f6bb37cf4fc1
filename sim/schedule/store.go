package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// Store says what holds the contents of the simulated disks.
type Store string

// The stores. What goes wrong with a disk is drawn above them and is the same
// for all, but for what PebbleRaw adds.
const (
	// ModelStore is a tree in memory.
	ModelStore Store = "model"
	// PebbleStore is Pebble below what is not durable. A run takes the same
	// steps as on the model.
	PebbleStore Store = "pebble"
	// PebbleRaw is Pebble as in production, over files that a loss of power
	// tears and in which bits flip. Safety is checked; two runs of a schedule
	// may differ.
	PebbleRaw Store = "pebble-raw"
)

// Stores are all of them; the first is the default.
func Stores() []Store { return []Store{ModelStore, PebbleStore, PebbleRaw} }

// ParseStore reads the name of a store.
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
