package tidy

import (
	"fmt"
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

// promises names the tests of each function and method of the packages that other projects
// may take alone. It stands here because their own tests import nothing of the module.
var promises = map[string]map[string]promised{
	"netsim": {
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
	},
	"zksim": {
		"Violation.String":       {0, "TestCheckerKeepsTheFirstViolationsAndReportsThem"},
		"NewChecker":             {2, "TestCheckerKeepsTheFirstViolationsAndReportsThem TestCheckerSeesEachRuleBroken"},
		"Checker.Violations":     {1, "TestCheckerKeepsTheFirstViolationsAndReportsThem"},
		"Service.Audit":          {2, "TestAuditFindsWhatNoReadHasShown"},
		"SessionState.String":    {1, "TestInspectAndExpireHost"},
		"Service.Connect":        {2, "TestSessionTimeoutIsNegotiated"},
		"Service.ConnectWith":    {2, "TestWrongPasswordIsAnsweredAsExpiry TestUnguardedHandshakeWaitsSixAndTwoThirdsTimeouts"},
		"Client.Session":         {1, "TestEveryCall"},
		"Client.Password":        {1, "TestSupersededConnectionReadsUntilItWrites"},
		"Client.Server":          {1, "TestClientAheadIsRefusedByALaggingServer"},
		"Client.Timeout":         {1, "TestSessionTimeoutIsNegotiated"},
		"Client.LastZxid":        {1, "TestWipedServiceSilentlyRefusesItsOldClients"},
		"Client.Create":          {1, "TestEveryCall"},
		"Client.CreateNode":      {2, "TestContainersAndTTLNodesAreSwept"},
		"Client.Delete":          {2, "TestEveryCall"},
		"Client.Set":             {2, "TestEveryCall"},
		"Client.Multi":           {3, "TestEveryCall TestInvariantsHoldUnderAllFaults"},
		"Client.Get":             {2, "TestEveryCall TestOnlyExistsWatchesAMissingNode"},
		"Client.Exists":          {2, "TestEveryCall TestOnlyExistsWatchesAMissingNode"},
		"Client.Children":        {2, "TestEveryCall TestChildrenAreUnordered TestOnlyExistsWatchesAMissingNode"},
		"Client.AddWatch":        {2, "TestPersistentWatchIsRestoredAtAReconnect"},
		"Client.Sync":            {2, "TestDeposedLeaderAnswersSyncAndReadFromOldState"},
		"Client.Close":           {3, "TestCloseEndsCallsInTheirOrder"},
		"Client.Cut":             {3, "TestPauseRate TestPersistentWatchIsRestoredAtAReconnect"},
		"Client.Abandon":         {2, "TestAbandonedSessionStaysUntilItExpires"},
		"Client.Watching":        {1, "TestInspectAndExpireHost"},
		"Service.Counters":       {1, "TestEveryHazardHasItsCounters"},
		"Service.WipeServer":     {3, "TestWipedFollowerRefusesUntilItHasCaughtUp"},
		"Service.WipeAll":        {2, "TestWipedServiceSilentlyRefusesItsOldClients"},
		"Service.AgeSequence":    {3, "TestSequencesStickAtTheirMaximum"},
		"Service.ExpireSession":  {1, "TestExpiredClientLearnsItOnlyWhenItReconnects"},
		"Service.ExpireHost":     {1, "TestInspectAndExpireHost"},
		"Service.CutHost":        {2, "TestCutHostIsDisconnectedAndComesBackWithItsSession TestShortCutOnlyDelays"},
		"Service.CutHostFrom":    {1, "TestCutFromOneServerMovesToAnother"},
		"Service.HealHost":       {2, "TestShortCutOnlyDelays"},
		"Service.LoseNextWrite":  {1, "TestReplyLost"},
		"Service.DelayNextWrite": {2, "TestWriteIsDoneAfterItsClientWasToldUnknown"},
		"Service.SetLag":         {2, "TestLaggingFollower"},
		"Service.ResetLag":       {1, "TestInvariantsHoldUnderAllFaults"},
		"Service.Isolate":        {3, "TestIsolatedFollowerServesAClientWhoseSessionHasEnded"},
		"Service.ChangeLeader":   {4, "TestLeaderChange TestNewLeaderRestartsEverySessionTimeout TestDeposedLeaderAnswersSyncAndReadFromOldState"},
		"Service.Down":           {1, "TestNothingExpiresWithoutAQuorum"},
		"Service.Up":             {1, "TestNothingExpiresWithoutAQuorum"},
		"Service.Heal":           {2, "TestHealEndsEveryFault"},
		"Service.Inspect":        {2, "TestInspectAndExpireHost"},
		"NewService":             {2, "TestConfigIsValidated"},
		"Service.Peek":           {2, "TestEveryCall"},
		"Service.PeekChildren":   {1, "TestInspectAndExpireHost"},
		"Service.Leader":         {1, "TestLeaderChange"},
		"Service.Servers":        {1, "TestInspectAndExpireHost"},
		"Service.Zxid":           {1, "TestLeaderChange"},
		"Service.SessionAlive":   {1, "TestExpiryIsWithinATickOfTheTimeout"},
	},
}

// TestEveryFunctionHasATest compares the tables with the packages.
func TestEveryFunctionHasATest(t *testing.T) {
	for dir, rows := range promises {
		t.Run(dir, func(t *testing.T) {
			for _, wrong := range wrongPromises(t, filepath.Join("..", "..", dir), rows) {
				t.Error(wrong)
			}
		})
	}
}

// TestPromisesOfAPackage checks the check on a package of two functions.
func TestPromisesOfAPackage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package a\n\n// One is one. It is odd.\nfunc One() {}\n\ntype T struct{}\n\n// Two is two.\nfunc (*T) Two() {}\n\ntype u struct{}\n\nfunc (u) Three() {}\n")
	write("a_test.go", "package a\n\nfunc TestOne(t *testing.T) {}\n")
	one, two := promised{2, "TestOne"}, promised{1, "TestOne"}
	for _, c := range []struct {
		name string
		rows map[string]promised
		want string
	}{
		{"all is named", map[string]promised{"One": one, "T.Two": two}, ""},
		{"a function without a row", map[string]promised{"One": one}, "no test is named for T.Two"},
		{"a sentence that is new", map[string]promised{"One": {1, "TestOne"}, "T.Two": two}, "One promises 2 sentences, the table knows 1: name the tests of what is new"},
		{"a row without a function", map[string]promised{"One": one, "T.Two": two, "Four": one}, "there is no Four any more"},
		{"a test that is gone", map[string]promised{"One": one, "T.Two": {1, "TestTwo"}}, "T.Two names TestTwo, which does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := wrongPromises(t, dir, c.rows)
			if len(got) > 0 && got[0] != c.want || len(got) == 0 && c.want != "" {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// wrongPromises says what differs between a table and the package in a directory.
func wrongPromises(t *testing.T, dir string, rows map[string]promised) (wrong []string) {
	t.Helper()
	stated, tests := statedPromises(t, dir)
	for of, sentences := range stated {
		row, ok := rows[of]
		if !ok || row.tests == "" {
			wrong = append(wrong, fmt.Sprintf("no test is named for %s", of))
		} else if sentences != row.sentences {
			wrong = append(wrong, fmt.Sprintf("%s promises %d sentences, the table knows %d: name the tests of what is new", of, sentences, row.sentences))
		}
	}
	for of, row := range rows {
		if _, ok := stated[of]; !ok {
			wrong = append(wrong, fmt.Sprintf("there is no %s any more", of))
		}
		for _, test := range strings.Fields(row.tests) {
			if !strings.Contains(tests, "func "+test+"(t *testing.T)") {
				wrong = append(wrong, fmt.Sprintf("%s names %s, which does not exist", of, test))
			}
		}
	}
	return wrong
}

// statedPromises returns how many sentences the comment of each exported function and
// method has, and the text of the package's tests.
func statedPromises(t *testing.T, dir string) (sentences map[string]int, tests string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	sentences = map[string]int{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			tests += string(text)
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.IsExported() && nameOf(fn) != "" {
				sentences[nameOf(fn)] = strings.Count(strings.Join(strings.Fields(fn.Doc.Text()), " ")+" ", ". ")
			}
		}
	}
	return sentences, tests
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
