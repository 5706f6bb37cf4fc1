package sim

import (
	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// alonePhase stops ZooKeeper for good, in one run of three. No primary dies after
// that, so every partition must keep accepting writes and answering reads, even
// when the time at which sessions would have expired has passed.
func (r *run) alonePhase() {
	random := r.world.Random()
	if r.system != nil || random.Below(3, "run alone", 0, 0) > 0 || len(r.verdict.violations) > 0 {
		return
	}
	r.alone = true
	r.note("ZooKeeper is stopped for good")
	r.options.timeline.event(r.world.Now(), bandPhase, "ZooKeeper is stopped for good")
	r.world.ZooKeeper().Down()
	r.until(r.world.Now()+random.Between(between(0, 2*r.setup.SessionTimeout), "run alone", 0, 1), nil)
	r.load.stopped = false
	var requests []*checkRequest
	for p := range r.setup.Partitions {
		host := r.soundHost("run alone host", p)
		b := &checkRequest{host: host, partition: node.PartitionID(p), key: keyIn(node.PartitionID(p), r.setup.Partitions), last: "it did not answer"}
		requests = append(requests, b)
		r.sendCheck(b)
	}
	bound := r.patience()
	if !r.until(r.world.Now()+bound, func() bool { return len(pending(requests)) == 0 }) && !r.aborted {
		b := pending(requests)[0]
		r.verdict.broken(Progress, "without ZooKeeper, and though no primary died, a client of %s got no service from partition %d within %v: %s",
			schedule.HostName(b.host), b.partition, bound, b.last)
	}
	r.load.stopped = true
}

// soundHost draws a host whose disk is intact.
func (r *run) soundHost(purpose string, number int) int {
	host := r.world.Random().Below(r.setup.Nodes, purpose, uint64(number), 0)
	for r.world.Ruined(host) {
		host = (host + 1) % r.setup.Nodes
	}
	return host
}

// finalReaders is how many keys are read at a time. All at once, some hundreds are more than
// slow nodes can handle: see docs/known-limits.md.
const finalReaders = 32

// readPhase reads every key that a client ever asked to change, through some node, once
// all other clients have ended. The reads are part of the history: without them, a write that is lost after its
// key was last read would go unnoticed.
func (r *run) readPhase() {
	r.options.timeline.event(r.world.Now(), bandPhase, "every key is read")
	r.load.closed = true // a client that thinks would write a key that was read already
	keys := writtenKeys(r.load.recorder.History())
	r.load.stopped = false
	left, last, next := len(keys), "", 0
	var read func()
	read = func() {
		if next == len(keys) {
			return
		}
		i, key := next, keys[next]
		next++
		r.finalRead(i, key, func() { left--; read() }, func(why string) { last = "key " + key + ": " + why })
	}
	for range finalReaders {
		read()
	}
	bound := r.patience()
	if !r.until(r.world.Now()+bound, func() bool { return left == 0 }) && !r.aborted {
		r.verdict.broken(Progress, "%d of %d keys could not be read within %v at the end, when no faults were left: %s", left, len(keys), bound, last)
	}
	r.load.stopped = true
}

// writtenKeys lists the keys of the writes in a history, each once. It asks the history
// and not the workload, so that no kind of request can write a key that is never read.
func writtenKeys(history []linearizability.Operation) []string {
	var keys []string
	known := make(map[string]bool)
	for i := range history {
		if op := &history[i]; op.Kind != linearizability.Get && !known[op.Key] {
			known[op.Key] = true
			keys = append(keys, op.Key)
		}
	}
	return keys
}

func (r *run) finalRead(i int, key string, done func(), failed func(why string)) {
	host := r.soundHost("run final read", i)
	op := linearizability.Operation{Client: finalClient + i, Key: key, Kind: linearizability.Get}
	request := door.Request{Kind: door.RequestGet, Key: []byte(key), Timeout: r.patientTimeout()}
	r.load.submit(host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		if outcome == linearizability.OK {
			done()
			return
		}
		failed(outcome.String() + " (" + resp.Reason + ")")
		if !r.load.stopped {
			r.world.After(r.pace(), func() { r.finalRead(i, key, done, failed) })
		}
	})
}
