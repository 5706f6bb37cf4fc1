package crashdisk

import "testing"

// The header of a chunk of log 20 has the number 20 in it; log 21 ends it.
func TestLooksLikeTheEnd(t *testing.T) {
	for _, c := range []struct {
		from []byte
		bit  int
		name string
		want bool
	}{
		{[]byte{20, 0, 0, 0, 9}, 0, "000020.log", true},
		{[]byte{20, 0, 0, 0, 9}, 1, "000020.log", false},
		{[]byte{20, 0, 0, 1, 9}, 0, "000020.log", false},
		{[]byte{20, 0, 0}, 0, "000020.log", false},
		{[]byte{21, 0, 0, 0, 9}, 0, "000021.log", false}, // it would name the log before
		{[]byte{0, 1, 0, 0}, 0, "000256.log", true},
	} {
		if got := looksLikeTheEnd(c.from, c.bit, c.name); got != c.want {
			t.Errorf("%v, bit %d of %s: %t", c.from, c.bit, c.name, got)
		}
	}
}
