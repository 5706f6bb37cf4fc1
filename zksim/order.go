package zksim

import "slices"

// sortedKeys returns the keys of m in ascending order, the only order in
// which this package walks a map.
func sortedKeys[K int64 | string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	// order-free: sorted below
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
