package report

import (
	"dkv/linearizability"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOpenSpansGiveWay(t *testing.T) {
	s := linearizability.Annotations{Spans: []linearizability.Span{
		{Lane: "n1", State: linearizability.Up, From: 0},
		{Lane: "n1", State: linearizability.Primary, Partition: "3", Epoch: 1, From: 2},
		{Lane: "n1", State: linearizability.Primary, Partition: "4", Epoch: 1, From: 3},
		{Lane: "n1", State: linearizability.Primary, Partition: "3", Epoch: 2, From: 5},
		{Lane: "n2", State: linearizability.Down, From: 6},
		{Lane: "n1", State: linearizability.Paused, From: 7},
		{Lane: "n1", State: linearizability.Down, From: 8},
		{Lane: "n1", State: linearizability.Up, From: 9, To: 30},
		{Lane: "n1", State: linearizability.Primary, Partition: "4", Epoch: 3, From: 10},
	}}
	var got []string
	for _, x := range closedSpans(&s, 20) {
		got = append(got, fmt.Sprintf("%s%s%d:%d-%d", x.State, x.Partition, x.Epoch, x.From, x.To))
	}
	want := "up0:0-7 primary31:2-5 primary41:3-8 primary32:5-8 down0:6-20 paused0:7-8 down0:8-9 up0:9-30 primary43:10-20"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	bands := closedBands(&linearizability.Annotations{Bands: []linearizability.Band{{From: 5}, {From: 1, To: 2}, {From: 50}}}, 20)
	if bands[0].To != 2 || bands[1].To != 20 || bands[2].To != 50 {
		t.Errorf("%+v", bands)
	}
}

// Positions on the axis are relative to the time base of the history.
func TestAnnotationsOfAnAbsoluteClock(t *testing.T) {
	const base = 1_764_000_000 * time.Second
	history := []linearizability.Operation{{Key: "k", Kind: linearizability.Get, Call: 1, Return: 2, Outcome: linearizability.OK, CallTime: base + 10, ReturnTime: base + 20}}
	text, _ := writePage(t, history, &linearizability.Annotations{Spans: []linearizability.Span{{Lane: "n1", State: linearizability.Up, From: base}}, Bands: []linearizability.Band{{Kind: "x", From: base + 5, To: base + 5}}}, Options{})
	p := contentOf(t, text)
	if p.Annotations.Spans[0][4] != 0.0 || p.Annotations.Spans[0][5] != 20.0 || p.Annotations.Bands[0][2] != 5.0 {
		t.Errorf("%+v", p.Annotations)
	}
}
