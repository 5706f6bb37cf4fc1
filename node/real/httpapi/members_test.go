package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/door"
)

// TestMemberCommands: a command gets to the node as it was sent, and each answer of the node
// has its status.
func TestMemberCommands(t *testing.T) {
	for _, c := range []struct {
		body   string
		want   node.MemberCommand
		answer node.MemberAnswer
		status int
		says   string
	}{
		{`{"do":"drain","node":"n3"}`, node.MemberCommand{Verb: node.DrainMember, Node: "n3"},
			node.MemberAnswer{Outcome: door.Done, Reason: "n3 is leaving"}, http.StatusOK, `{"detail":"n3 is leaving","status":"Success"}`},
		{`{"do":"remove","node":"n3","force":true}`, node.MemberCommand{Verb: node.RemoveMember, Node: "n3", Force: true},
			node.MemberAnswer{Outcome: door.Refused, Reason: "no majority"}, http.StatusConflict, `"outcome":"refused"`},
		{`{"do":"replace","node":"n3","new":"n4"}`, node.MemberCommand{Verb: node.ReplaceMember, Node: "n3", New: "n4"},
			node.MemberAnswer{Outcome: door.Unknown, Reason: "no answer"}, http.StatusGatewayTimeout, `"outcome":"unknown"`},
		{`{"do":"approve","node":"n9"}`, node.MemberCommand{Verb: node.ApproveMember, Node: "n9"},
			node.MemberAnswer{Outcome: door.Refused, Missing: true, Reason: "no node n9"}, http.StatusNotFound, "no node n9"},
		{`{"do":"approve","node":"n9"}`, node.MemberCommand{Verb: node.ApproveMember, Node: "n9"},
			node.MemberAnswer{Outcome: door.Refused, Away: true, Reason: "ZooKeeper"}, http.StatusServiceUnavailable, "ZooKeeper"},
	} {
		d := newScripted(t, mustNotAsk(t))
		var got node.MemberCommand
		d.node.Command = func(m node.MemberCommand, done func(node.MemberAnswer)) bool {
			got = m
			done(c.answer)
			return true
		}
		w := d.serve(ask{method: "POST", target: "/v1/members", body: c.body})
		if got != c.want || w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: command %+v, answered %d %s, want %+v, %d and %q", c.body, got, w.Code, w.Body, c.want, c.status, c.says)
		}
	}
}

// TestBadMemberCommands: what can't be understood does not get to the node.
func TestBadMemberCommands(t *testing.T) {
	for body, says := range map[string]string{
		`{}`:       "\\\"do\\\" and \\\"node\\\" are needed",
		`drain n3`: "is not a JSON object",
		`{"do":"drain","node":"n3","forse":true}`: "forse",
		`{"do":"replace","node":"n3"}`:            "\\\"new\\\" to replace",
		`{"do":"drain","node":7}`:                 "node",
	} {
		d := newScripted(t, mustNotAsk(t))
		d.node.Command = func(m node.MemberCommand, _ func(node.MemberAnswer)) bool {
			t.Errorf("%s: the node was given %+v", body, m)
			return false
		}
		w := d.serve(ask{method: "POST", target: "/v1/members", body: body})
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: answered %d %s, want 400 and %q", body, w.Code, w.Body, says)
		}
	}
}
