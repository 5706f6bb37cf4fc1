package netsim

import (
	"reflect"
	"testing"
	"time"
)

// What is in flight, what a clog holds and which faults are in force is shown, in the order
// of the hosts, and nothing else.
func TestLinks(t *testing.T) {
	w, _ := newTestNetwork(t, 1, Config{Mode: Datagram}, 3)
	if all := w.net.Links(); len(all) != 0 {
		t.Fatalf("links of a quiet network: %+v", all)
	}
	w.send(2, 0, 2) // two bytes each
	delay, clog := w.net.Delay(0, 1, time.Second), w.net.Clog(0, 1)
	want := []LinkState{{From: "h0", To: "h1", Faults: []Cause{CauseDelay, CauseClog}}, {From: "h2", To: "h0", Frames: 2, Bytes: 4}}
	if all := w.net.Links(); !reflect.DeepEqual(all, want) {
		t.Errorf("links %+v, want %+v", all, want)
	}
	w.send(0, 1, 1)
	w.clock.run(time.Minute)
	all := w.net.Links()
	if len(all) != 1 || all[0].Held != 1 || all[0].From != w.net.Name(0) || all[0].To != w.net.Name(1) {
		t.Errorf("links %+v, want one that holds a frame", all)
	}
	clog.Heal()
	delay.Heal()
	w.clock.run(time.Minute)
	if all := w.net.Links(); len(all) != 0 {
		t.Errorf("links at the end: %+v", all)
	}
}
