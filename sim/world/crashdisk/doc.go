// Package crashdisk is a disk in memory with the production store on it, whose
// power can be cut between any two calls and in whose files bits can be flipped
// afterwards. Package sim/world runs nodes on it when a schedule says "store
// pebble" or "store pebble-raw".
//
// Unlike the rest of the simulator it uses goroutines and locks, because Pebble
// does; that is why it is a package of its own. Its methods belong to one
// goroutine and wait for Pebble's.
package crashdisk
