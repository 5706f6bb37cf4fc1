package sim

import (
	"testing"
	"time"
)

// TestEnumerate explores a tiny cluster within small bounds. All of its
// executions differ, and the bounds are reached, not the end of the time. The
// same bounds find the mutants 02, 05 and 06.
func TestEnumerate(t *testing.T) {
	e := Tiny()
	begun := time.Now()
	found, err := e.Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v\n%v wall=%v", e, found, time.Since(begun))
	if found.Failed != nil {
		reportFailure(t, found.Failed)
		t.FailNow()
	}
	if !found.Complete || found.Runs < 240 || found.Traces < found.Runs {
		t.Fatalf("%v", found)
	}
}
