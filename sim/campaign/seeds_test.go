package campaign

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

func takeAll(s *seedSet, most int) []uint64 {
	var all []uint64
	for len(all) < most && s.more() {
		all = append(all, s.take())
	}
	return all
}

func TestSeedsAreGivenOutOnce(t *testing.T) {
	for _, c := range []struct {
		all  Span
		want []uint64
	}{
		{Span{1, 3, 1}, []uint64{1, 2, 3}},
		{Span{2, 9, 3}, []uint64{2, 5, 8}},
		{Span{7, 7, 1}, []uint64{7}},
		{Span{9, 8, 4}, nil},
		{Span{math.MaxUint64, math.MaxUint64, 1}, []uint64{math.MaxUint64}},
		{Span{math.MaxUint64 - 2, math.MaxUint64, 2}, []uint64{math.MaxUint64 - 2, math.MaxUint64}},
	} {
		if got := takeAll(newSeedSet(c.all), 10); !slices.Equal(got, c.want) {
			t.Errorf("%+v gave out %v, want %v", c.all, got, c.want)
		}
	}
}

// Seeds end in any order; what is left is the rest, whenever that is asked.
func TestSeedsGoOnWithThoseNotDone(t *testing.T) {
	all := Span{5, 40, 5}
	ended := []uint64{10, 25, 5, 15, 40}
	for n := range len(ended) + 1 {
		s := newSeedSet(all)
		takeAll(s, 10)
		for _, seed := range ended[:n] {
			s.done(seed)
		}
		again := newSeedSet(all)
		if err := again.restore(s.spans(), n); err != nil {
			t.Fatal(err)
		}
		var want []uint64
		for seed := uint64(5); seed <= 40; seed += 5 {
			if !slices.Contains(ended[:n], seed) {
				want = append(want, seed)
			}
		}
		if got := takeAll(again, 10); !slices.Equal(got, want) {
			t.Errorf("after %v: %v are left, want %v", ended[:n], got, want)
		}
		if !reflect.DeepEqual(again.spans(), s.spans()) {
			t.Errorf("after %v: %v became %v", ended[:n], s.spans(), again.spans())
		}
	}
}

func TestSeedsOfAnotherSetAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spans []Span
		runs  int
	}{
		{"another step", []Span{{5, 15, 10}}, 2},
		{"another beginning", []Span{{6, 16, 5}}, 3},
		{"below the first", []Span{{0, 10, 5}}, 3},
		{"beyond the last", []Span{{5, 45, 5}}, 9},
		{"backwards", []Span{{10, 5, 5}}, 1},
		{"twice", []Span{{5, 15, 5}, {15, 15, 5}}, 4},
		{"more runs than seeds", []Span{{5, 15, 5}}, 4},
	} {
		if err := newSeedSet(Span{5, 40, 5}).restore(c.spans, c.runs); err == nil {
			t.Errorf("%s: restored", c.name)
		}
	}
}
