package main

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "17": 17, "3KiB": 3 << 10, "32MiB": 32 << 20, "1GiB": 1 << 30, "1024GiB": 1 << 40} {
		var s size
		if err := s.Set(text); err != nil || int(s) != want {
			t.Errorf("%q is %d (%v), want %d", text, s, err, want)
		}
		if got := s.String(); got != text && text != "1024GiB" {
			t.Errorf("%d is printed as %q, want %q", want, got, text)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1025GiB", "9999999999999999999GiB", "3MB", "3 MiB"} {
		s := size(7)
		if err := s.Set(text); err == nil || s != 7 {
			t.Errorf("%q is taken as %d", text, s)
		}
	}
}
