package world

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/node/door"
)

// listener is a Program that records the frames that it receives.
type listener struct {
	Doors
	heard *[]string
}

func (*listener) Start()                                      {}
func (*listener) OnRequest(door.Request, func(door.Response)) {}
func (*listener) EndTurn()                                    {}
func (*listener) Leads() bool                                 { return false }
func (p *listener) OnFrame(from int, frame []byte) {
	*p.heard = append(*p.heard, fmt.Sprintf("%d from %d: %s", p.Host, from, frame))
}

func TestProgramsFramesAreWhole(t *testing.T) {
	var heard []string
	w, err := New(Config{Hosts: 2, NewProcess: Programs(func(d Doors) Program { return &listener{d, &heard} })})
	if err != nil {
		t.Fatal(err)
	}
	startAll(w)
	w.RunUntil(time.Second)
	for _, frame := range [][]byte{[]byte("short"), []byte("a frame that has no sum of its own")} {
		w.Network().Send(w.NetID(0), w.NetID(1), frame)
	}
	w.RunUntil(2 * time.Second)
	frameDoor{w.hosts[0].current}.Send(1, []byte("whole"))
	w.RunUntil(3 * time.Second)
	if want := []string{"1 from 0: whole"}; !slices.Equal(heard, want) {
		t.Fatalf("heard %q, want %q", heard, want)
	}
}
