package main

import (
	"bytes"
	"testing"

	"dkv/internal/version"
)

func TestVersion(t *testing.T) {
	want := version.Read().Text("dkvsim")
	for _, argument := range []string{"version", "--version"} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{argument})
		if err := root.Execute(); err != nil || out.String() != want {
			t.Errorf("dkvsim %s: %v, %q; want %q", argument, err, out.String(), want)
		}
	}
}
