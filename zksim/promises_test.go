package zksim_test

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
