// Package version tells which build of this module is running: its version and
// commit, and the versions of the protocol and of the store that decide which
// other builds it works with. Start with Read.
package version
