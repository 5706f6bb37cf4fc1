// Package metrics collects what /metrics shows.
//
// Each package below node/real registers its own numbers in a Registry, with
// names that start with "dkv_". A number is counted where the event happens and
// read when the page is requested, so that counting costs an atomic addition.
package metrics
