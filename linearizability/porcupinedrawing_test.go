package linearizability

import (
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"
)

func TestPorcupinesRowsDoNotOverlap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var history []porcupine.Operation
	for call := int64(1); call < 200; call++ {
		history = append(history, porcupine.Operation{ClientId: rng.IntN(4), Call: call, Return: call + 1 + rng.Int64N(20)})
	}
	spreadClients(history)
	rows := map[int]int64{}
	for _, op := range history {
		if op.Call <= rows[op.ClientId] {
			t.Fatalf("row %d: an operation is called at %d, before the previous one returns at %d", op.ClientId, op.Call, rows[op.ClientId])
		}
		rows[op.ClientId] = op.Return
	}
	if len(rows) < 5 || len(rows) > 25 {
		t.Errorf("%d rows", len(rows))
	}
}
