// Package ring says where keys and partitions belong: which partition holds a
// key, and which members should hold a partition. It is pure: the same members
// give the same targets, in whatever order they are listed.
//
// It is consistent hashing with bounded loads (Mirrokni, Thorup and
// Zadimoghaddam, 2016). All hashes are xxhash64 and lie on a ring of 2^64:
//
//   - Partition p of Q begins at its point ⌊p·2^64/Q⌋ and ends before the next
//     one's. A key belongs to the partition that holds the key's hash.
//   - A member of weight w has 128·w tokens, the hashes of "id#0", "id#1" and
//     so on. Tokens with equal hashes stand in the order of their ids.
//   - In the order of their numbers, partitions choose their owners: walking
//     clockwise from the point, the first R members that are below their bound,
//     first only those of zones not yet chosen, then, if there are too few, in
//     the order of the walk, those of zones already chosen. A member without a
//     zone is a zone of its own.
//   - A partition that finds too few members below their bound is completed at
//     the end, by augmenting paths (matching.go): other partitions change one
//     owner, whatever its zone, so that the bounds hold for all. It always
//     succeeds.
//   - The bound of a member is max(⌈mean⌉, ⌊1.10·mean⌋), where mean is its
//     share by weight of all Q·R replicas. A member whose share exceeds Q holds
//     every partition, and the rest is shared by the others.
//   - Preferred primaries are chosen from the owners, within the bound for R = 1,
//     in the same way; where no choice keeps the bound, the first owner is taken.
//
// How much a join or a leave moves beyond the unavoidable depends on the
// replicas per member, because only where there are many does a tenth above
// the mean leave room for chance. With Q of at least 16 times the number of
// members it stays within what ring_test.go demands. With less, the bounds
// still hold but more moves: with Q = 256 and R = 3 the 50th member's join
// lowers the bound of all others from 17 to 16, and moves about three times
// the newcomer's share.
package ring
