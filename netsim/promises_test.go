package netsim_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// promised is what an exported function or method states, and which tests fail when it does
// not hold.
type promised struct {
	sentences int // of its comment: a sentence that is added needs a look at the tests
	tests     string
}

// breaks names the tests of each function and method of the package.
var breaks = map[string]promised{
	"New":                    {2, "TestInvalidConfigAndRates TestDeterminism"},
	"Cause.String":           {1, "TestCountersAreSortedAndComplete"},
	"Config.Validate":        {1, "TestInvalidConfigAndRates"},
	"Rates.Validate":         {1, "TestInvalidConfigAndRates"},
	"Mode.String":            {1, "TestCountersAreSortedAndComplete"},
	"Fault.Cause":            {1, "TestEachFaultCountsWhatItStruck"},
	"Fault.Effects":          {1, "TestEachFaultCountsWhatItStruck"},
	"Fault.Heal":             {2, "TestOverlappingCutsEndIndependently"},
	"Network.Attach":         {3, "TestStreamDetach TestDatagramReachesARestartedHost TestMisusePanics"},
	"Network.Attached":       {1, "TestMisusePanics TestHealAllHeals"},
	"Network.Bridge":         {1, "TestBridge"},
	"Network.ClearLinkRates": {1, "TestStreamLossIsADelay TestStreamLostFramesHoldUpNoOthers"},
	"Network.Clog":           {2, "TestDatagramClogHoldsWhatArrives TestStreamCutAndClogStopWhatIsInFlight"},
	"Network.Count":          {1, "TestDelayHiddenByAnOlderFrameIsNotCounted TestDatagramProperties"},
	"Network.Counters":       {4, "TestCountersAreSortedAndComplete TestEachFaultCountsWhatItStruck TestEachRateCountsWhatItStruck"},
	"Network.CutOneWay":      {4, "TestDatagramCutLoses TestStreamCutHoldsFramesAndAHealReleasesThem TestStreamCutBreaksTheConnectionInTheEnd"},
	"Network.CutTwoWay":      {1, "TestTwoWayCutsCutBothWays"},
	"Network.Delay":          {3, "TestTheWorstOfSeveralFaultsIsInForce TestLatenessEndsWithItsFault"},
	"Network.Detach":         {3, "TestStreamDetach"},
	"Network.HalfOpen":       {2, "TestStreamHalfOpen TestDatagramHasNoConnections"},
	"Network.Heal":           {2, "TestHealRemovesTheRatesOfALink TestStreamHealEndsHalfOpen"},
	"Network.HealAll":        {2, "TestHealAllHeals"},
	"Network.HealAmong":      {1, "TestHealAmongLeavesTheRestBroken"},
	"Network.Host":           {3, "TestAFaultElsewhereChangesNothing TestMisusePanics"},
	"Network.Isolate":        {1, "TestIsolateAffectsHostsCreatedLater"},
	"Network.Late":           {4, "TestLateGrowsUpToItsBound TestLatenessEndsWithItsFault"},
	"Network.MajoritiesRing": {3, "TestMajoritiesRing"},
	"Network.Reset":          {2, "TestStreamReset TestStreamResetNeedsAConnection TestDatagramHasNoConnections"},
	"Network.Send":           {4, "TestStreamDeliversInOrder TestCorruptFlipsOneBitOfACopy TestStreamDetach"},
	"Network.SetLinkRates":   {2, "TestHealRemovesTheRatesOfALink TestInvalidConfigAndRates"},
	"Network.SetRates":       {2, "TestEachRateCountsWhatItStruck TestInvalidConfigAndRates"},
	"Network.Slow":           {4, "TestDatagramSlowLinkDropsALongBacklog TestStreamSlowBacklogArrivesAtTheHeal TestTheWorstOfSeveralFaultsIsInForce"},
	"Network.Split":          {1, "TestTwoWayCutsCutBothWays TestEachFaultCountsWhatItStruck"},
	"Network.Links":          {2, "TestLinks"},
	"Network.Name":           {1, "TestLinks"},
	"Network.Stats":          {1, "TestStreamDeliversInOrder TestDatagramProperties"},
	"Network.Vanish":         {2, "TestStreamVanish"},
}

// TestEveryFunctionHasATest compares the table with the package.
func TestEveryFunctionHasATest(t *testing.T) {
	stated := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() {
				continue
			}
			of := nameOf(fn)
			if of == "" {
				continue
			}
			stated[of] = true
			text := strings.Join(strings.Fields(fn.Doc.Text()), " ")
			if breaks[of].tests == "" {
				t.Errorf("no test is named for %s", of)
			}
			if got := strings.Count(text+" ", ". "); got != breaks[of].sentences {
				t.Errorf("%s promises %d sentences, the table knows %d: name the tests of what is new", of, got, breaks[of].sentences)
			}
		}
	}
	for of, row := range breaks {
		if !stated[of] {
			t.Errorf("there is no %s any more", of)
		}
		for _, test := range strings.Fields(row.tests) {
			if !strings.Contains(tests.String(), "func "+test+"(t *testing.T)") {
				t.Errorf("%s names %s, which does not exist", of, test)
			}
		}
	}
}

// nameOf returns Function or Type.Method, "" for a method of a type that is not exported.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	name, ok := of.(*ast.Ident)
	if !ok || !name.IsExported() {
		return ""
	}
	return name.Name + "." + fn.Name.Name
}
