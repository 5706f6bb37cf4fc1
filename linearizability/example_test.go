package linearizability_test

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"dkv/linearizability"

	"github.com/anishathalye/porcupine"
)

// To check your own program, record each request around the call that makes it,
// then ask for the verdict.
func Example() {
	var store sync.Map // the store under test
	recorder := linearizability.NewRecorder(linearizability.RecorderConfig{})
	var clients sync.WaitGroup
	for client := range 3 {
		clients.Go(func() {
			value := fmt.Sprint("value of ", client)
			call := recorder.Call(linearizability.Operation{Client: client, Key: "k", Kind: linearizability.Put, Value: value})
			store.Store("k", value)
			recorder.Return(call, linearizability.OK, linearizability.Answer{})
		})
	}
	clients.Wait()
	result, err := linearizability.Check(recorder.History(), linearizability.Options{})
	fmt.Println(result.Verdict, err)
	// Output: linearizable <nil>
}

// A history that any program wrote as JSON Lines can be checked and reported.
func ExampleRead() {
	history, err := linearizability.Read(strings.NewReader(
		`{"event":"call","stamp":1,"client":1,"kind":"put","key":"k","value":"old"}
{"event":"return","stamp":2,"of":1,"outcome":"ok","version":4}
{"event":"call","stamp":3,"client":1,"kind":"put","key":"k","value":"new"}
{"event":"call","stamp":4,"client":2,"kind":"get","key":"k"}
{"event":"return","stamp":5,"of":3,"outcome":"ok","version":9}
{"event":"return","stamp":6,"of":4,"outcome":"ok","found":true,"value":"new","version":9}
{"event":"call","stamp":7,"client":3,"kind":"get","key":"k"}
{"event":"return","stamp":8,"of":7,"outcome":"ok","found":true,"value":"old","version":4}
`))
	if err != nil {
		fmt.Println(err) // names line and column
		return
	}
	result, err := linearizability.Check(history, linearizability.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	result.WriteText(os.Stdout)
	// Output:
	// not linearizable: 4 operations on 1 key
	//   decided by pruned search: 1 key
	//   confirmed by Porcupine: 1 key
	//
	// key "k": not linearizable (4 operations, 4 after pruning, 6 steps)
	//   D: client 1's put of "new" (stamps 3-5) was acknowledged with version 9, but at the end client 3's get (stamps 7-8) read "old", version 4
	//   L: client 3's get (stamps 7-8) read "old", version 4, but before that call client 2's get (stamps 4-6) read "new", version 9
	//   (confirmed by Porcupine)
	//   client 1  |----|                               put "old" ok v4 [1,2]
	//   client 1            |---------|                put "new" ok v9 [3,5]
	// * client 2                 |---------|           get -> "new" v9 [4,6]
	// * client 3                                |----| get -> "old" v4 [7,8]
}

// CheckModel takes a Porcupine model: here a counter whose addition returns the
// previous value.
func ExampleCheckModel() {
	counter := porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, added, before any) (bool, any) {
			return before == state, state.(int) + added.(int)
		},
	}
	history := []porcupine.Operation{
		{ClientId: 0, Input: 5, Output: 0, Call: 1, Return: 4},
		{ClientId: 1, Input: 2, Output: 0, Call: 2, Return: 3}, // both found 0
	}
	result, err := linearizability.CheckModel(counter, history, linearizability.DefaultStepBudget)
	fmt.Println(result.Verdict, err)
	// Output: not linearizable <nil>
}
