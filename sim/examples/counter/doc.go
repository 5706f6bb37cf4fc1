// Package counter is a system of another kind than DKV on the stage of package
// sim: it gives every request the next number, and keeps that on a majority of
// its hosts. A number may be skipped; it is never given twice.
//
// Who holds a lock in ZooKeeper leads, and the lock's czxid is its fencing token.
// A leader that was paused or cut off does not know that its session is over and
// another leads, so a host takes nothing from an older token than it has promised.
package counter
