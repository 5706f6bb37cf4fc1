package layout

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// MaxEncodedBytes bounds the encoded layout, below the megabyte at which
// ZooKeeper refuses a packet.
const MaxEncodedBytes = 899_999

// formatVersion leads the encoding, so that a later form is recognised as such. Format 2
// knows the state Replaced. A layout without such a member is written in format 1, which
// every build reads.
const formatVersion = 2

// The encoding is JSON in one canonical form: fixed order of keys, no spaces,
// no string that needs an escape, "n" left out when empty. Equal layouts have
// equal bytes, and Decode accepts only what Encode writes. Partitions are
// listed by their id and speak the notation of the protocol: epoch e, primary
// p, replicas r, next replicas n.
//
//	{"format":1,"version":7,"cluster":"…","replication":3,"nextMember":4,
//	 "members":[{"number":1,"node":"n1","store":"…","peer":"…","http":"…","zone":"","weight":1,"state":"active"},…],
//	 "partitions":[{"e":12,"p":1,"r":[1,2,3]},{"e":9,"p":2,"r":[1,2,3],"n":[2,3,4]},…]}

// Encode returns the layout as the bytes of its znode, at most MaxEncodedBytes.
// The bounds of a layout leave no valid one too large; the check is there for
// the day when a bound is moved.
func (l *Layout) Encode() ([]byte, error) {
	b := make([]byte, 0, 256+256*len(l.members)+48*len(l.partitions))
	b = field(b, `{"format":`, l.format())
	b = field(b, `,"version":`, uint64(l.version))
	b = text(b, `,"cluster":`, l.cluster)
	b = field(b, `,"replication":`, uint64(l.replication))
	b = field(b, `,"nextMember":`, uint64(l.nextMember))
	b = append(b, `,"members":[`...)
	for i, m := range l.members {
		b = m.encode(separate(b, i))
	}
	b = append(b, `],"partitions":[`...)
	for i, p := range l.partitions {
		b = p.encode(separate(b, i))
	}
	b = append(b, `]}`...)
	if len(b) > MaxEncodedBytes {
		return nil, fmt.Errorf("encoding layout version %d: %d bytes, want at most %d", l.version, len(b), MaxEncodedBytes)
	}
	return b, nil
}

// format returns the lowest format that can hold the layout.
func (l *Layout) format() uint64 {
	if slices.ContainsFunc(l.members, func(m Member) bool { return m.State == Replaced }) {
		return 2
	}
	return 1
}

func (m Member) encode(b []byte) []byte {
	b = field(b, `{"number":`, uint64(m.Number))
	b = text(b, `,"node":`, string(m.Node))
	b = text(b, `,"store":`, string(m.Store))
	b = text(b, `,"peer":`, m.Peer)
	b = text(b, `,"http":`, m.HTTP)
	b = text(b, `,"zone":`, m.Zone)
	b = field(b, `,"weight":`, uint64(m.Weight))
	b = text(b, `,"state":`, string(m.State))
	return append(b, '}')
}

func (p Partition) encode(b []byte) []byte {
	b = field(b, `{"e":`, uint64(p.Epoch))
	b = field(b, `,"p":`, uint64(p.Primary))
	b = numbers(b, `,"r":[`, p.Replicas)
	if p.Moving() {
		b = numbers(b, `,"n":[`, p.Next)
	}
	return append(b, '}')
}

func field(b []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(b, key...), n, 10)
}

// text writes a string that validation has found to need no escapes.
func text(b []byte, key, s string) []byte {
	b = append(append(b, key...), '"')
	return append(append(b, s...), '"')
}

func numbers(b []byte, key string, set []MemberNumber) []byte {
	b = append(b, key...)
	for i, n := range set {
		b = strconv.AppendUint(separate(b, i), uint64(n), 10)
	}
	return append(b, ']')
}

func separate(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}

// Decode reads what Encode wrote and validates it: a layout that it returns
// can be acted on. A caller that read the bytes from the znode must also compare
// Version with the version of the znode. It never panics, and allocates in proportion to
// len(data) and never for more than the bounds of a layout.
func Decode(data []byte) (*Layout, error) {
	if len(data) > MaxEncodedBytes {
		return nil, fmt.Errorf("decoding layout: %d bytes, want at most %d", len(data), MaxEncodedBytes)
	}
	r := &reader{data: data}
	l := r.layout()
	if r.err != nil {
		return nil, fmt.Errorf("decoding layout: %w", r.err)
	}
	l.index()
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("decoding layout version %d: %w", l.version, err)
	}
	return l, nil
}

// NewerError says that a layout was written by a newer build. It is not damaged, and this
// build must not change it.
type NewerError struct {
	Format uint64 // that it names, above the one that this build reads
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("it has format %d, and this build reads format %d: a newer version of dkv wrote it", e.Format, formatVersion)
}

// reader reads the canonical form from left to right. After its first error it
// reads nothing more and every method returns a zero value.
type reader struct {
	data []byte
	at   int
	err  error
	// spare is room for the sets of partitions: they share few arrays.
	spare []MemberNumber
	// texts is a copy of the members' part of data, from textsAt on. The strings of all
	// members are parts of it.
	texts   string
	textsAt int
}

func (r *reader) layout() *Layout {
	l := &Layout{}
	format := r.field(`{"format":`, math.MaxUint32)
	switch {
	case r.err != nil:
	case format > formatVersion:
		r.err = &NewerError{format}
	case format < 1:
		r.fail("format %d was never written", format)
	}
	l.version = int32(r.field(`,"version":`, math.MaxInt32))
	l.cluster = r.text(`,"cluster":`, MaxNameBytes)
	l.replication = int(r.field(`,"replication":`, MaxReplication))
	l.nextMember = MemberNumber(r.field(`,"nextMember":`, MaxMemberNumber+1))
	r.expect(`,"members":[`)
	members, _, _ := bytes.Cut(r.data[r.at:], []byte(`],"partitions":[`))
	r.texts, r.textsAt = string(members), r.at
	l.members = make([]Member, 0, min(objects(members), MaxMembers))
	for r.more(len(l.members)) {
		if len(l.members) == MaxMembers {
			r.fail("more than %d members", MaxMembers)
			break
		}
		l.members = append(l.members, r.member())
	}
	r.expect(`,"partitions":[`)
	l.partitions = make([]Partition, 0, min(objects(r.data[r.at:]), MaxPartitions))
	for r.more(len(l.partitions)) {
		if len(l.partitions) == MaxPartitions {
			r.fail("more than %d partitions", MaxPartitions)
			break
		}
		l.partitions = append(l.partitions, r.partition())
	}
	r.expect(`}`)
	if r.err == nil && r.at < len(r.data) {
		r.fail("%d bytes too many", len(r.data)-r.at)
	}
	if want := l.format(); r.err == nil && format != want {
		r.fail("it is written in format %d, want %d", format, want)
	}
	return l
}

func (r *reader) member() Member {
	m := Member{
		Number: MemberNumber(r.field(`{"number":`, MaxMemberNumber)),
		Node:   NodeID(r.text(`,"node":`, MaxNameBytes)),
		Store:  StoreID(r.text(`,"store":`, MaxNameBytes)),
		Peer:   r.text(`,"peer":`, MaxAddressBytes),
		HTTP:   r.text(`,"http":`, MaxAddressBytes),
		Zone:   r.text(`,"zone":`, MaxNameBytes),
		Weight: int(r.field(`,"weight":`, MaxWeight)),
		State:  State(r.text(`,"state":`, MaxNameBytes)),
	}
	r.expect(`}`)
	return m
}

func (r *reader) partition() Partition {
	p := Partition{
		Epoch:    Epoch(r.field(`{"e":`, MaxEpoch)),
		Primary:  MemberNumber(r.field(`,"p":`, MaxMemberNumber)),
		Replicas: r.numbers(`,"r":[`),
	}
	if r.next(`,`) {
		p.Next = r.numbers(`,"n":[`)
		if r.err == nil && len(p.Next) == 0 {
			r.fail(`empty "n", want it left out`)
		}
	}
	r.expect(`}`)
	return p
}

// numbers reads at most MaxReplication member numbers.
func (r *reader) numbers(key string) []MemberNumber {
	r.expect(key)
	var set [MaxReplication]MemberNumber
	n := 0
	for r.more(n) {
		if n == MaxReplication {
			r.fail("more than %d replicas", MaxReplication)
			break
		}
		set[n] = MemberNumber(r.number(MaxMemberNumber))
		n++
	}
	if n == 0 || r.err != nil {
		return nil
	}
	if cap(r.spare)-len(r.spare) < n {
		r.spare = make([]MemberNumber, 0, setsAtOnce*MaxReplication)
	}
	begin := len(r.spare)
	r.spare = append(r.spare, set[:n]...)
	return r.spare[begin:len(r.spare):len(r.spare)]
}

// setsAtOnce is the number of full sets for which numbers makes room.
const setsAtOnce = 16

// objects counts the objects in a list: so many are made room for, so that none is moved.
// An address with a brace makes that too much, which does no harm.
func objects(list []byte) int { return bytes.Count(list, []byte{'{'}) }

// more reports whether a list, of which n elements are read, has more; it
// consumes the comma, or the bracket at its end.
func (r *reader) more(n int) bool {
	if r.err != nil {
		return false
	}
	if r.next(`]`) {
		r.at++
		return false
	}
	if n > 0 {
		r.expect(`,`)
	}
	return r.err == nil
}

func (r *reader) field(key string, limit uint64) uint64 {
	r.expect(key)
	return r.number(limit)
}

// number reads a decimal number without sign or leading zeros.
func (r *reader) number(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	start, n := r.at, uint64(0)
	for r.at < len(r.data) && '0' <= r.data[r.at] && r.data[r.at] <= '9' {
		if r.at-start == 1 && n == 0 {
			r.fail("leading zero")
			return 0
		}
		n = 10*n + uint64(r.data[r.at]-'0')
		if n > limit {
			r.fail("number above %d", limit)
			return 0
		}
		r.at++
	}
	if r.at == start {
		r.fail("want a number")
	}
	return n
}

// text reads a string. Which characters it may hold is the validation's to
// say; an escape is refused here, by the backslash it would need.
func (r *reader) text(key string, limit int) string {
	r.expect(key)
	r.expect(`"`)
	if r.err != nil {
		return ""
	}
	rest := r.data[r.at:]
	if len(rest) > limit+1 {
		rest = rest[:limit+1]
	}
	n := bytes.IndexByte(rest, '"')
	if n < 0 {
		r.fail("string does not end within %d bytes", limit)
		return ""
	}
	begin := r.at - r.textsAt
	r.at += n + 1
	if begin >= 0 && begin+n <= len(r.texts) {
		return r.texts[begin : begin+n]
	}
	return string(rest[:n])
}

// next reports whether the bytes that follow are s.
func (r *reader) next(s string) bool {
	return r.err == nil && len(r.data)-r.at >= len(s) && string(r.data[r.at:r.at+len(s)]) == s
}

func (r *reader) expect(s string) {
	if r.err != nil {
		return
	}
	if !r.next(s) {
		r.fail("want %s", s)
		return
	}
	r.at += len(s)
}

func (r *reader) fail(format string, args ...any) {
	r.err = fmt.Errorf("at byte %d: %s", r.at, fmt.Sprintf(format, args...))
}
