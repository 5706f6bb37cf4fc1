package zksim

import (
	"fmt"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// BenchmarkOperations measures calls through clients and three servers, in
// operations per second of real time on one core. Eight clients keep eight calls
// each under way.
func BenchmarkOperations(b *testing.B) {
	for _, checked := range []bool{false, true} {
		for _, mix := range []string{"set", "get", "multi", "get and watch and set"} {
			b.Run(fmt.Sprintf("%s/checked=%v", mix, checked), func(b *testing.B) {
				var k *Checker
				if checked {
					k = NewChecker(func(v Violation) { b.Fatal(v) })
				}
				runOperations(b, mix, k)
			})
		}
	}
}

func runOperations(b *testing.B, mix string, k *Checker) {
	w := &testWorld{seed: 1}
	s := NewService(w, w, Config{Checker: k})
	left := b.N
	ended := 0
	b.ReportAllocs()
	for i := range 8 {
		path := fmt.Sprintf("/n%d", i)
		a := &app{w: w}
		a.cl = s.Connect(path, 4*time.Second, a)
		a.cl.Create(path, nil, 0, func(CreateResult, error) {})
		var next func()
		done := func() {
			ended++
			a.events, a.told = a.events[:0], a.told[:0]
			next()
		}
		calls := 0
		next = func() {
			if left == 0 {
				return
			}
			left--
			calls++
			switch {
			case mix == "get", mix == "get and watch and set" && calls%2 == 0:
				a.cl.Get(path, mix != "get", func([]byte, zktree.Stat, error) { done() })
			case mix == "multi":
				ops := []zktree.Op{{Code: zktree.OpCheck, Path: path, Version: -1}, {Code: zktree.OpSetData, Path: path, Version: -1}}
				a.cl.Multi(ops, func([]zktree.OpResult, error) { done() })
			default:
				a.cl.Set(path, nil, -1, func(zktree.Stat, error) { done() })
			}
		}
		w.After(time.Second, func() {
			for range 8 {
				next()
			}
		})
	}
	w.pass(time.Second - 1)
	b.ResetTimer()
	w.run(1<<62, func() bool { return ended == b.N })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
