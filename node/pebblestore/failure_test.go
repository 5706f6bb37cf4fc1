package pebblestore

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openForTest(t *testing.T, failed func(error)) *Store {
	t.Helper()
	s, err := Open(Options{Dir: "data", FS: vfs.NewMem(), Post: func(fn func()) { fn() }, Failed: failed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// underCall calls Fatalf as Pebble would inside a call of the store.
func (s *Store) underCall() (err error) {
	defer s.recovered(&err)
	logger{s}.Fatalf("table %d is upside down", 7)
	return nil
}

func TestFatalfInACallBecomesItsError(t *testing.T) {
	told := 0
	s := openForTest(t, func(error) { told++ })
	err := s.underCall()
	if err == nil || !strings.Contains(err.Error(), "table 7 is upside down") {
		t.Fatalf("the call returned %v", err)
	}
	if s.Err() != err || told != 1 {
		t.Fatalf("the store failed with %v, notified %d times", s.Err(), told)
	}
	if _, _, err := s.Get([]byte("k")); err == nil {
		t.Fatal("Get succeeded after a fatal error")
	}
}

func TestFatalfInTheBackgroundNeverReturns(t *testing.T) {
	told := make(chan error, 2)
	s := openForTest(t, func(err error) { told <- err })
	returned := make(chan struct{})
	go func() {
		defer close(returned) // it must not run deferred functions either
		logger{s}.Fatalf("manifest %d is upside down", 7)
	}()
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), "manifest 7 is upside down") || s.Err() == nil {
			t.Fatalf("notified of %v, failed with %v", err, s.Err())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the owner was not notified")
	}
	select {
	case <-returned:
		t.Fatal("Fatalf returned")
	case <-time.After(20 * time.Millisecond):
	}
}

func TestOnlyTheFirstErrorCounts(t *testing.T) {
	s := openForTest(t, nil)
	first := s.underCall()
	if second := s.underCall(); second != first {
		t.Fatalf("the second error is %v", second)
	}
}
