package loop

import (
	"testing"

	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/node/real/realtest"
)

type clockWorld struct {
	realtest.World
	clock door.Clock
}

func (w clockWorld) Clock() door.Clock { return w.clock }

func TestClockKeepsItsPromises(t *testing.T) {
	envtest.TestClock(t, func(t *testing.T) envtest.ClockHarness {
		l := New()
		return clockWorld{realtest.NewWorld(t, l), l.Clock()}
	})
}
