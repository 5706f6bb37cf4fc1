package envtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// promises lists each sentence of the comments of package door's interfaces, and of what
// clients ask and are answered, as "Type: sentence".
func promises(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../door/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding package door: %v, %d files", err, len(files))
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && filepath.Base(name) == "request.go" && fn.Doc != nil {
				all = append(all, sentences(fn.Name.Name, fn.Doc)...)
			}
			types, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			if filepath.Base(name) == "request.go" {
				all = append(all, requestPromises(types)...)
				continue
			}
			for _, spec := range types.Specs {
				s, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				body, ok := s.Type.(*ast.InterfaceType)
				if !ok {
					continue
				}
				all = append(all, sentences(s.Name.Name, types.Doc)...)
				for _, method := range body.Methods.List {
					if len(method.Names) > 0 {
						all = append(all, sentences(s.Name.Name+"."+method.Names[0].Name, method.Doc)...)
					}
				}
			}
		}
	}
	return all
}

// requestPromises lists those of a declaration that is not an interface: of the type, of
// its fields, and of constants.
func requestPromises(types *ast.GenDecl) (all []string) {
	for _, spec := range types.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			all = append(all, sentences(s.Name.Name, types.Doc)...)
			body, ok := s.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range body.Fields.List {
				of := s.Name.Name + "." + field.Names[0].Name
				all = append(all, sentences(of, field.Doc)...)
				all = append(all, sentences(of, field.Comment)...)
			}
		case *ast.ValueSpec:
			all = append(all, sentences(s.Names[0].Name, s.Doc)...)
		}
	}
	return all
}

func sentences(of string, doc *ast.CommentGroup) (all []string) {
	text := strings.Join(strings.Fields(doc.Text()), " ")
	for _, s := range strings.SplitAfter(text, ". ") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, of+": "+s)
		}
	}
	return all
}

// breaks names, for each promise of package door, the tests that fail when an
// implementation breaks it: parts of the conformance tests of this package, such as
// TestStore/DoneInOrder, or tests of other packages, such as sim/world.TestClocksDiffer.
// What begins with "none:" cannot be broken by an implementation, and says why.
var breaks = map[string]string{
	"Clock: Clock measures time since boot and never runs backwards.":                                          "TestClock/NowNeverGoesBack node/real/loop.TestClockNeverGoesBack",
	"Clock: The clocks of two nodes may differ by any offset; their rates differ by a bounded factor.":         "sim/world.TestClocksDiffer sim/world.TestClockKeepsItsRateAndNeverWakesEarly",
	"Clock.Now: Now returns the time since boot.":                                                              "TestClock/NowNeverGoesBack node/real/loop.TestClock",
	"Clock.After: After runs fn once, as an event of its own, no earlier than d from now.":                     "TestClock/AfterIsNeverEarly TestClock/AfterNothingIsAnEventOfItsOwn node/real/loop.TestTimerThatFiresEarlyWaits",
	"Clock.After: A call of stop cancels it: fn does not run after that.":                                      "TestClock/StoppedTimersDoNotRun TestClock/StopReachesATimerThatIsDue",
	"Random: Random is a source of random numbers for jitter and for new identities.":                          "none: any sequence of numbers is random",
	"Random: The owner of the node seeds it.":                                                                  "none: a duty of the owner",
	"Coordinator: Coordinator opens sessions with ZooKeeper.":                                                  "TestCoordinator/OpenConnects",
	"Coordinator.Open: Open starts a session and keeps trying until it is established.":                        "TestCoordinator/OpenConnects node/real/zookeeper.TestZooKeeperFaults",
	"Coordinator.Open: A program has one session at a time.":                                                   "none: a duty of the program",
	"Session: Session is one ZooKeeper session, from its first connection to its end.":                         "none: a definition",
	"Session.ID: ID returns ZooKeeper's number of the session; 0 before the first connection.":                 "TestCoordinator/OpenConnects",
	"Session.Get: Get reads a znode.":                                                                          "TestCoordinator/DataComesBack",
	"Session.Get: A watch on a missing znode waits for its creation.":                                          "TestCoordinator/WatchOnMissing",
	"Session.Children: Children lists the names under a znode, sorted.":                                        "TestCoordinator/ChildrenAreSorted",
	"Session.Multi: Multi makes all the changes at one instant, or none.":                                      "TestCoordinator/MultiMakesAllOrNothing",
	"Session.Close: Close ends the session.":                                                                   "TestCoordinator/CallsAfterCloseAreOver",
	"Session.Close: If the server can be reached, its ephemerals go at once.":                                  "TestCoordinator/CloseRemovesEphemerals",
	"Network: Network carries messages of type M between members.":                                             "TestNetwork/AllKindsArrive TestNetwork/EachAtItsReceiver",
	"Network: A message that arrives is intact.":                                                               "TestNetwork/AllKindsArrive TestNetwork/LargeFramesArriveWhole sim/world.TestDamagedFramesAreDropped",
	"Network.Send: Send hands over a message and returns at once.":                                             "TestNetwork/AllKindsArrive TestNetwork/SendIntoTheVoid node/real/peer.TestQueueOfASlowPeerIsBounded",
	"Store: Store is an ordered map of bytes on one disk.":                                                     "TestStore/ReadsEqualAModel",
	"Store: Commits take effect in the order in which they are made.":                                          "TestStore/BatchesApplyInOrder TestStore/ReadsEqualAModel",
	"Store: Get, Scan and View see every Commit made before them, durable or not.":                             "TestStore/ReadsSeeCommits TestStore/ViewsStandStill",
	"Store: After an error nothing later becomes durable: every later done gets an error, and the node stops.": "TestStore/NothingIsDurableAfterAnError node/pebblestore.TestAFailedSyncEndsEveryLaterCommit node/real.TestFailureEndsTheServer",
	"Store.Get: Get returns a copy of the value.":                                                              "TestStore/ReadsSeeCommits",
	"Store.Scan: Scan calls fn for the keys in [from, to), in order, until fn returns false.":                  "TestStore/ScanBounds TestStore/ReadsEqualAModel",
	"Store.Scan: The slices are valid only inside fn.":                                                         "none: a duty of the caller; sim/world.TestDiskScanLendsItsSlices finds one that forgets it",
	"Store.View: View returns the store as of this instant.":                                                   "TestStore/ViewsStandStill",
	"Store.View: The caller closes it.":                                                                        "none: a duty of the caller; sim/world.TestDiskLimitsViews finds one that forgets it",
	"Store.Commit: Commit applies the batch, which belongs to the store from then on.":                         "TestStore/ReadsSeeCommits TestStore/BatchesApplyInOrder",
	"Store.Commit: done runs later, as an event of its own; nil means that the caller asks for no sync.":       "TestStore/DoneInOrder node/pebblestore.TestBarriersSyncOnlyWhatIsUnsynced",
	"View: View is an immutable snapshot of a Store.":                                                          "TestStore/ViewsStandStill",

	"Coordinator.Open: It reports session events in order, each as an event of its own, and none after EventExpired or Close.": "TestCoordinator/OpenConnects " +
		"TestCoordinator/ExpiryIsTheLastEvent TestCoordinator/CallsAfterCloseAreOver node/real/zookeeper.TestReportsThatWaitAtCloseAreDropped",
	"Session: Calls are answered in the order in which they were made, each exactly once and each as an event of its own.": "TestCoordinator/AnswersInOrder node/real/zookeeper.TestTooManyCallsAreAnsweredInOrder",
	"Session: A call on a session that has ended is answered with ErrSessionOver; a call whose answer does not come in time, with ErrUnknownOutcome.": "TestCoordinator/CallsAfterCloseAreOver " +
		"TestCoordinator/ExpiryIsTheLastEvent TestCoordinator/ACutLeavesTheOutcomeUnknown",
	`Session: The guarantees are ZooKeeper's ("Consistency Guarantees" in the ZooKeeper Programmer's Guide): writes are linearizable; reads may be stale, ` +
		"but within a session they never go back and they see the session's own writes.": "TestCoordinator/AnswersInOrder TestCoordinator/ChecksTellThePresent " +
		"TestCoordinator/EventsComeBeforeAnswers node/real/zookeeper.TestRequestsWaitForTheWatches zksim.TestCheckerSeesEachRuleBroken zksim.TestInvariantsHoldUnderAllFaults",
	"Session.Get: With watch, the next change (of its data, its removal, or the loss of the watch itself) is reported as EventChanged with its path.": "TestCoordinator/WatchTellsOnce " +
		"TestCoordinator/WatchTellsTheEnd TestCoordinator/WatchesAreSetAnew TestCoordinator/WatchesAfterACut " +
		"node/real/zookeeper.TestAChangeAfterAnAnswerIsReported node/real/zookeeper.TestEachWatchOfAZnodeIsReported node/real/zookeeper.TestWatchesThatFireWithTheirAnswer",
	"Session.Multi: err is nil if they were made; an *OpError names the operation that prevented them; after ErrUnknownOutcome or ErrSessionOver they may have been made, or may still be.": "TestCoordinator/MultiNamesTheOperation " +
		"TestCoordinator/AnUnknownOutcomeIsDecided node/real/zookeeper.TestErrorsOfTransactions",
	"Session.Close: done, which may be nil, runs when that is certain or when a bounded time has passed.":                                   "TestCoordinator/CloseRemovesEphemerals node/real/zookeeper.TestCloseAtAHungServer",
	"Network: The contract is weak on purpose: it may lose, delay, duplicate and reorder messages, and reports none of that to the sender.": "none: it asks for nothing",
	"Network: The world delivers it by a method of the program that owns the door; it may also hint that a peer has gone, and that hint may be wrong or missing.": "TestNetwork/ResumesAfterARestart " +
		"node/real/peer.TestPeerThatComesBack node/real/peer.TestDialThatIsRefusedIsALoss",
	"Network.Send: If M is a pointer, the sender may reuse what it points to once Send has returned; whatever hangs below that is immutable from then on.": "TestNetwork/AllKindsArrive " +
		"TestNetwork/EachAtItsReceiver",
	"Store: When done(nil) runs, its batch and every earlier one are durable; that holds for an empty batch too.": "TestStore/DoneMeansDurable TestStore/EmptyBatchIsABarrier " +
		"node/pebblestore.TestADoneWaitsForItsOwnSync node/pebblestore.TestAnEmptyBatchWaitsForWhatIsBeforeIt",
	"Store: After a crash the store holds the effects of a prefix of the commits, each batch whole, and the prefix reaches at least to the last batch whose done(nil) ran.": "TestStore/CrashKeepsAPrefix " +
		"sim/world.TestDiskKeepsAPrefix sim/world/crashdisk.TestPowerLossKeepsAPrefix",

	"Index: Index is a position in the log of a partition.":                                                     "none: a definition",
	"Index: The first entry has index 1.":                                                                       "node.TestResponses",
	"Version: Version identifies the value of a key: the log index of the write that made it.":                  "node.TestResponses",
	"Version: Zero means that the key is absent.":                                                               "node.TestResponses",
	"RequestKind: RequestKind says what a client asks for.":                                                     "none: a definition",
	"Writes: Writes reports whether requests of this kind can change state.":                                    "node.TestOutcomes",
	"Condition: Condition makes a write conditional on the version of its key.":                                 "node.TestResponses",
	"Condition: The zero value always holds; several conditions must hold together.":                            "node.TestConditions",
	"Condition.Absent: Absent requires that the key is absent (HTTP: If-None-Match: *).":                        "node.TestConditions node.TestResponses",
	"Condition.Match: Match, if not zero, requires that the key has this version (If-Match).":                   "node.TestConditions node.TestResponses",
	"Condition.Present: Present requires that the key is present, with any version (If-Match: *).":              "node.TestConditions node.TestResponses",
	"Holds: Holds reports whether the condition holds for a key of version v; 0 means that the key is absent.":  "node.TestConditions",
	"Request: Request is one operation of a client on one key.":                                                 "none: a definition",
	"Request.Value: of RequestPut; may be empty":                                                                "node.TestResponses",
	"Request.If: of RequestPut and RequestDelete":                                                               "node.TestResponses",
	"Request.Timeout: Timeout bounds the whole call; 0 means the node's default.":                               "node.TestARequestEndsOnceAndInTime node.TestAForwardMayTakeWhatIsLeft",
	"Outcome: Outcome says how a request ended.":                                                                "node.TestOutcomes",
	"Outcome: Every request ends exactly once.":                                                                 "node.TestARequestEndsOnceAndInTime",
	"Done: Done means that the request was applied and the response is its result.":                             "node.TestResponses",
	"Refused: Refused means that the request was not applied and never will be.":                                "node.TestARefusedRequestIsNotProposedLater node.TestARefusedForwardStaysRefused node.TestWhatIsOutOfBoundsIsRefused",
	"Unknown: Unknown means that the request may have been applied, or may still be.":                           "node.TestARequestEndsOnceAndInTime node.TestAForwarderThatHearsNothingAnswersUnknown",
	"Response: Response ends a request.":                                                                        "none: a definition",
	"Response.Reason: Reason says in words why a request was refused or its outcome is unknown.":                "node.TestARequestEndsOnceAndInTime node.TestOutcomes",
	"Response.Busy: Busy marks a refusal because this node is overloaded; another node may accept the request.": "node.TestABusyPrimaryIsNotAskedAgain node.TestTheQueueOfAStartingReignIsBoundedInBytes",
	"Response.Found: Found reports whether the key was present: for a get, that there is a value; for a delete, that something was removed; for a failed condition, what the condition met.": "node.TestResponses",
	"Response.Failed: Failed reports that the condition did not hold and nothing was changed.":                                                                                               "node.TestResponses",
	"Response.Version: Version is the new version after a put, and otherwise the version that the request met; 0 if the key was absent.":                                                     "node.TestResponses",
	"Response.Value: Value is what a get, a delete or a failed condition met.":                                                                                                               "node.TestResponses",
	"Response.Index: Index is the log index at which the request was decided: the index of its own entry for a write, the applied index at which it was served for a get.":                   "node.TestResponses",
	"Response.Index: The answers about one key, ordered by Index with each write before the gets of the same index, are a linearization.":                                                    "node.TestResponses linearizability.TestOrderByIndexProvesIndexedHistories",
}

// TestEveryPromiseHasATest compares the table with the promises of package door, and
// with the tests that exist. A promise that is added or reworded needs its line.
func TestEveryPromiseHasATest(t *testing.T) {
	stated := make(map[string]bool)
	for _, promise := range promises(t) {
		stated[promise] = true
		if breaks[promise] == "" {
			t.Errorf("no test is named for %q", promise)
		}
	}
	for promise, tests := range breaks {
		if !stated[promise] {
			t.Errorf("package door does not promise %q any more", promise)
		}
		if strings.HasPrefix(tests, "none:") {
			continue
		}
		for _, test := range strings.Fields(tests) {
			if !exists(t, test) {
				t.Errorf("%q names %s, which does not exist", promise, test)
			}
		}
	}
}

// exists reports whether there is a test of this name.
func exists(t *testing.T, test string) bool {
	if suite, part, ok := strings.Cut(test, "/"); ok && strings.HasPrefix(test, "Test") {
		return declares(t, "*.go", "func "+suite+"(") && declares(t, "*.go", `{"`+part+`", `)
	}
	dir, name, ok := strings.Cut(test, ".")
	return ok && declares(t, "../../"+dir+"/*_test.go", "func "+name+"(t *testing.T)")
}

func declares(t *testing.T, pattern, text string) bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) != "promises_test.go" && strings.Contains(string(source), text) {
			return true
		}
	}
	return false
}
