package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
)

// maxCommandBytes bounds the body of a command.
const maxCommandBytes = 4 << 10

// membersPage is the body of /v1/members.
type membersPage struct {
	Version int32         `json:"version"` // of the layout; -1 before the cluster forms
	Members []listedPage  `json:"members"`
	Waiting []waitingPage `json:"waiting"` // registered nodes that are not members
}

type listedPage struct {
	Number     node.MemberNumber `json:"number"`
	Node       node.NodeID       `json:"node"`
	Store      node.StoreID      `json:"store"`
	State      layout.State      `json:"state"`
	Registered bool              `json:"registered"` // in ZooKeeper, as far as the node asked knows
	Replicas   int               `json:"replicas"`   // partitions that count on it
	Zone       string            `json:"zone,omitempty"`
	Weight     int               `json:"weight"`
	HTTP       string            `json:"http"`
}

type waitingPage struct {
	Node  node.NodeID  `json:"node"`
	Store node.StoreID `json:"store"`
	HTTP  string       `json:"http"`
	Why   string       `json:"why"`
}

func (a *API) serveMembers(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a.serveCommand(w, r)
		return
	}
	s := a.node.Status(false)
	if s == nil {
		a.refuse(w, http.StatusServiceUnavailable, noStatus)
		return
	}
	answerJSON(w, http.StatusOK, membersOf(s))
}

func membersOf(s *node.Status) membersPage {
	page := membersPage{Version: -1, Members: []listedPage{}, Waiting: []waitingPage{}}
	for _, c := range s.Candidates {
		page.Waiting = append(page.Waiting, waitingPage(c))
	}
	if s.Layout == nil {
		return page
	}
	page.Version = s.Layout.Version()
	for _, m := range s.Layout.Members() {
		replicas := 0
		for _, p := range s.Layout.Partitions() {
			if p.Names(m.Number) {
				replicas++
			}
		}
		page.Members = append(page.Members, listedPage{
			Number: m.Number, Node: m.Node, Store: m.Store, State: m.State,
			Registered: slices.Contains(s.Registered, m.Node), Replicas: replicas,
			Zone: m.Zone, Weight: m.Weight, HTTP: m.HTTP,
		})
	}
	return page
}

// commandBody is what a POST of /v1/members asks for.
type commandBody struct {
	Do    node.MemberVerb `json:"do"`
	Node  node.NodeID     `json:"node"`
	New   node.NodeID     `json:"new,omitempty"`
	Force bool            `json:"force,omitempty"`
}

// serveCommand changes the members. 404: no such node. 409: the command does not fit the
// members as they are. 503: it may succeed later, or at another node.
func (a *API) serveCommand(w http.ResponseWriter, r *http.Request) {
	command, err := readCommand(a, w, r, decodeCommand)
	if err != nil {
		a.reject(w, err)
		return
	}
	a.answerCommand(w, a.awaitAnswer(func(done func(node.MemberAnswer)) bool { return a.node.Command(command, done) }, "see 'dkv member list'"))
}

// readCommand reads an operator's command, which is a small JSON object.
func readCommand[C any](a *API, w http.ResponseWriter, r *http.Request, decode func([]byte) (C, error)) (c C, err error) {
	if err := checkJSONType(r); err != nil {
		return c, err
	}
	body, release, err := a.readBody(w, r, maxCommandBytes)
	if err != nil {
		return c, err
	}
	defer release()
	return decode(body)
}

// answerCommand answers a call with what became of its command.
func (a *API) answerCommand(w http.ResponseWriter, answer node.MemberAnswer) {
	switch {
	case answer.Outcome == door.Done:
		answerJSON(w, http.StatusOK, map[string]string{"status": statusSuccess, "detail": answer.Reason})
	case answer.Outcome == door.Unknown:
		writeProblem(w, http.StatusGatewayTimeout, door.Unknown, answer.Reason)
	case answer.Missing:
		a.refuse(w, http.StatusNotFound, answer.Reason)
	case answer.Away:
		w.Header().Set("Retry-After", retryAfter)
		a.refuse(w, http.StatusServiceUnavailable, answer.Reason)
	default:
		a.refuse(w, http.StatusConflict, answer.Reason)
	}
}

// decodeCommand reads a command, and refuses names that it does not know: a misspelt "force"
// must not change what the command means.
func decodeCommand(body []byte) (node.MemberCommand, error) {
	const example = `{"do":"drain","node":"n3"}`
	fields := map[string]json.RawMessage{}
	if err := decodeObject(body, fields); err != nil {
		return node.MemberCommand{}, badInput(http.StatusBadRequest, "the body is not a JSON object such as %s: %v", example, err)
	}
	var c commandBody
	known := map[string]any{"do": &c.Do, "node": &c.Node, "new": &c.New, "force": &c.Force}
	for name, raw := range fields {
		into, ok := known[name]
		if !ok {
			return node.MemberCommand{}, badInput(http.StatusBadRequest, "%q is not known (want do, node, new and force)", name)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return node.MemberCommand{}, badInput(http.StatusBadRequest, "%q: %v", name, err)
		}
	}
	if c.Do == "" || c.Node == "" || c.Do == node.ReplaceMember && c.New == "" {
		return node.MemberCommand{}, badInput(http.StatusBadRequest, `"do" and "node" are needed, and "new" to replace; for example %s`, example)
	}
	return node.MemberCommand{Verb: c.Do, Node: c.Node, New: c.New, Force: c.Force}, nil
}

// awaitAnswer gives a command to the node and waits for its answer. look says where to see
// what became of it if no answer comes.
func (a *API) awaitAnswer(give func(done func(node.MemberAnswer)) bool, look string) node.MemberAnswer {
	answers := make(chan node.MemberAnswer, 1)
	if !give(func(answer node.MemberAnswer) { answers <- answer }) {
		return node.MemberAnswer{Outcome: door.Refused, Away: true, Reason: "this node is stopping"}
	}
	late := time.NewTimer(a.node.Timeout + a.node.Grace)
	defer late.Stop()
	select {
	case answer := <-answers:
		return answer
	case <-a.node.Stopped:
	case <-late.C:
	}
	select { // the node may have answered just before it stopped
	case answer := <-answers:
		return answer
	default:
		return node.MemberAnswer{Outcome: door.Unknown, Reason: "this node stopped or is stalled; " + look}
	}
}
