// Package crashdisk simulates a disk with the production store on it. Its power can be
// cut between any two calls, and bits of its files can be flipped afterwards. Package
// sim/world runs nodes on it when a schedule says "store pebble" or "store pebble-raw".
//
// Unlike the rest of the simulator, it has to do with goroutines and locks, because
// Pebble does; that is why it is a package of its own. One goroutine calls its methods,
// which wait for Pebble's.
package crashdisk
