// Package quorum decides when enough replicas of a partition agree. It knows
// two questions, and every decision of the protocol that needs a majority asks
// one of them:
//
//   - Have enough members promised, answered or consented? (Reached)
//   - How far have enough members come, by their durable logs or by the frames
//     that they answered? (Greatest)
//
// Enough is a strict majority, because two strict majorities of one set share a
// member: whatever one quorum did, some member of the next one knows of. While
// a partition moves, enough is a majority of R and one of N, so that a decision
// stands whichever of the two sets remains.
//
// The package is pure arithmetic. It does not know what a promise or an index
// is, it never remembers an answer, and it allocates nothing: commits are
// counted here at every turn. Counting each member once is a property of its
// shape (it asks about the members of a set, rather than adding up answers as
// they come), so that a duplicated message cannot count twice.
package quorum
