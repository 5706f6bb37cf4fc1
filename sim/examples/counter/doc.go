// Package counter shows how package sim tests a program that is not DKV. The
// counter gives every request the next number and keeps that number on a majority
// of its hosts. A number may be skipped; it is never given twice. The host that
// holds a lock in ZooKeeper leads, and the lock's czxid is its fencing token: a
// leader that was paused or cut off may not know that another one leads, so a host
// accepts nothing under an older token than the one it has promised.
package counter
