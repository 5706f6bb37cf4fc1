package sim

import (
	"fmt"
	"strconv"
	"strings"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// scriptClient is the number of the first client that sends the requests of a
// schedule's steps.
const scriptClient = 100_000

// ask sends one request of a new client: a get or put of the key that stands for
// the partition, or a put of a key that no other request names. The history
// records it like every other operation, so the checker judges it too.
func (r *run) ask(host int, do *schedule.Action, p node.PartitionID) {
	l := r.load
	l.asks++
	number := l.asks
	key := r.keyFor(do, p, number)
	op := linearizability.Operation{Client: scriptClient + number - 1, Key: key, Kind: linearizability.Get}
	request := door.Request{Kind: door.RequestGet, Key: []byte(key), Timeout: r.setup.Workload.Timeout}
	if do != schedule.AskGet {
		op.Kind, request.Kind = linearizability.Put, door.RequestPut
		op.Value = "s" + strconv.Itoa(number)
		if do == schedule.AskPutLarge {
			op.Value += strings.Repeat(".", node.MaxValueBytes-len(op.Value))
		}
		request.Value = []byte(op.Value)
	}
	r.note("client %d sends to %s: %s", number, schedule.HostName(host), askWords(do, op.Value, p))
	l.submit(host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		r.note("client %d got the answer to %s: %s", number, askWords(do, op.Value, p), answerWords(do, resp, outcome))
	})
}

// keyFor returns the key that a step's request names.
func (r *run) keyFor(do *schedule.Action, p node.PartitionID, number int) string {
	switch do {
	case schedule.AskPutNew:
		return newKeyIn(p, r.setup.Partitions, number)
	case schedule.AskPutLarge:
		return longKeyIn(p, r.setup.Partitions)
	}
	return keyIn(p, r.setup.Partitions)
}

func askWords(do *schedule.Action, value string, p node.PartitionID) string {
	switch do {
	case schedule.AskPut:
		return fmt.Sprintf("put %s in partition %d", value, p)
	case schedule.AskPutNew:
		return fmt.Sprintf("put %s under a new key in partition %d", value, p)
	case schedule.AskPutLarge:
		return fmt.Sprintf("put %d bytes under the longest key in partition %d", len(value), p)
	}
	return fmt.Sprintf("get of partition %d", p)
}

func answerWords(do *schedule.Action, resp door.Response, outcome linearizability.Outcome) string {
	switch {
	case outcome != linearizability.OK && resp.Reason != "":
		return outcome.String() + " (" + resp.Reason + ")"
	case outcome != linearizability.OK || do != schedule.AskGet:
		return outcome.String()
	case !resp.Found:
		return "not found"
	}
	return string(resp.Value)
}
