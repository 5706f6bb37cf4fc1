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
//
// A cluster places by one version of the rule, which stands in ZooKeeper beside
// its layout. A rule that is in use never changes its outcome, because members of
// two builds would then move data against each other; what is to change gets a new
// version.
//
// # Version 1
//
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
//
// The bound comes before the zones. Five equal members in zones of two, two and
// one put two of three replicas of every third partition into one zone.
//
// # Version 2
//
// Zones come first (plan.go). The limit of a zone is the least number, at least
// ⌈R/Z⌉ for Z zones, with which the zones together can hold R replicas, or the
// number of its members if that is less. Under Strict no partition has more
// replicas in a zone than its limit. Each member has a share of the replicas by
// weight, with two caps: one replica of each partition for a member, and the
// limit for a zone. What a cap takes away is shared by the others, again by
// weight. So the members of a zone that is small may be due more than their
// weight: that is the price of the limit, and Burdens names them. Under Prefer
// only the first cap holds, and a zone's limit rises to its share, rounded up.
//
// The walk (spread.go) gives a partition in each zone as many replicas as the
// zone's share has whole ones, from the members nearest to the point that are
// below their bounds; the replicas that are left go one each to the zones whose
// next member is nearest. A zone gets one of those in at most
// max(⌈mean⌉, ⌊1.10·mean⌋) partitions, where mean is its share beyond whole
// replicas of all Q; the bound of a member is as in version 1, of its share here.
// Partitions left short are completed by augmenting paths within the limits. It
// always succeeds, because the shares keep all limits (see plan).
//
// Where all weigh the same and there are no zones, or only one, the two versions
// agree.
//
// # Primaries
//
// Preferred primaries are chosen from the owners, within the bound for R = 1 by
// weight, first as the partitions come and then by augmenting paths; where no
// choice keeps the bound, the first owner is taken.
//
// # Movement
//
// How much a join or a leave moves beyond the unavoidable depends on the
// replicas per member, because only where there are many does a tenth above
// the mean leave room for chance. With Q of at least 16 times the number of
// members, 3 to 50 of them, it stays within what the tests demand, as a multiple
// of what the shares that grow grow by:
//
//	zones                                              mean   at worst
//	none, one, two equal ones, or R of equal weight    1.15   1.5
//	none, or R of any size; weights 1 to 16            1.15   2
//	four equal ones with R = 3                         1.3    1.8
//	more than R, of any size; weights 1 to 16          1.6    3
//
// The last two rows are the price of a limit that leaves a choice: a member that
// joins a zone takes partitions from its neighbors there, which are due nearly as
// much as before and have to get others.
//
// With fewer partitions the bounds still hold but more moves: with Q = 256 and
// R = 3 the 50th member's join lowers the bound of all others from 17 to 16, and
// moves about three times the newcomer's share.
package ring
