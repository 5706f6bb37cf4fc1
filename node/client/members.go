package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Members is the list of /v1/members.
type Members struct {
	Version int32
	Members []ListedMember
	Waiting []WaitingNode // registered, and not members
}

// ListedMember is one member of the layout.
type ListedMember struct {
	Number     uint32
	Node       string
	Store      string
	State      string
	Registered bool
	Replicas   int
	Zone       string
	Weight     int
	HTTP       string
}

// WaitingNode is a registered node that is not a member, and why.
type WaitingNode struct {
	Node  string `json:"node"`
	Store string `json:"store"`
	HTTP  string `json:"http"`
	Why   string `json:"why"`
}

// MemberCommand asks for a change of the members: Do is approve, drain, remove or replace.
type MemberCommand struct {
	Do    string `json:"do"`
	Node  string `json:"node"`
	New   string `json:"new,omitempty"`
	Force bool   `json:"force,omitempty"`
}

// Members returns the view of the first server that answers.
func (c *Client) Members(ctx context.Context) (Members, error) {
	var page Members
	return page, c.page(ctx, "/v1/members", &page)
}

// Command changes the members. It asks the servers in their order until one has an answer;
// an *Error with Unknown means that the change may have been made. detail says what was done.
func (c *Client) Command(ctx context.Context, m MemberCommand) (detail string, err error) {
	return c.post(ctx, "/v1/members", m)
}

// Set changes a setting of the cluster, as Command changes the members.
func (c *Client) Set(ctx context.Context, name, value string) (detail string, err error) {
	return c.post(ctx, "/v1/cluster", map[string]string{"set": name, "to": value})
}

func (c *Client) post(ctx context.Context, path string, command any) (detail string, err error) {
	body, err := json.Marshal(command)
	if err != nil {
		return "", err
	}
	for _, server := range c.servers {
		detail, failed := c.command(ctx, server+path, server, body)
		if failed == nil {
			return detail, nil
		}
		err = failed
		if !mayRetry(failed) {
			break
		}
	}
	return "", err
}

func (c *Client) command(ctx context.Context, url, server string, body []byte) (string, *Error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", &Error{Outcome: Refused, Detail: err.Error(), Server: server, cause: err}
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return "", transportError(server, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", problemOf(server, answer)
	}
	var done struct{ Detail string }
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBytes))
	if err == nil {
		err = json.Unmarshal(text, &done)
	}
	if err != nil {
		return "", &Error{Outcome: Unknown, Status: answer.StatusCode, Detail: fmt.Sprintf("reading the answer: %v", err), Server: server, cause: err}
	}
	return done.Detail, nil
}
