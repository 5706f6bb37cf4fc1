package zktree

import "strconv"

// Code is an outcome as ZooKeeper numbers it on the wire. Codes are comparable
// errors: callers use == or errors.Is.
type Code int32

// The codes that trees, servers and clients return. OK is never returned as an
// error.
const (
	OK                         Code = 0
	ErrRuntimeInconsistency    Code = -2 // an operation of a failed multi, after the one that failed
	ErrConnectionLoss          Code = -4 // sent and never answered: outcome unknown
	ErrMarshalling             Code = -5
	ErrUnimplemented           Code = -6
	ErrBadArguments            Code = -8
	ErrNoNode                  Code = -101
	ErrNoAuth                  Code = -102
	ErrBadVersion              Code = -103
	ErrNoChildrenForEphemerals Code = -108
	ErrNodeExists              Code = -110
	ErrNotEmpty                Code = -111
	ErrSessionExpired          Code = -112
	ErrInvalidACL              Code = -114
	ErrAuthFailed              Code = -115
	ErrClosing                 Code = -116 // the application closed its client
	ErrSessionMoved            Code = -118
	ErrThrottled               Code = -127 // too many requests wait at the client; never sent

	// ErrNoServer is how a client library reports a request that it never sent
	// because it could reach no server. The protocol has no number for it.
	ErrNoServer Code = -1000
)

var codeTexts = map[Code]string{
	OK:                         "ok",
	ErrRuntimeInconsistency:    "runtime inconsistency",
	ErrConnectionLoss:          "connection lost, outcome unknown",
	ErrMarshalling:             "request could not be decoded",
	ErrUnimplemented:           "operation is not implemented",
	ErrBadArguments:            "bad arguments",
	ErrNoNode:                  "node does not exist",
	ErrNoAuth:                  "not authorized",
	ErrBadVersion:              "version does not match",
	ErrNoChildrenForEphemerals: "ephemeral nodes have no children",
	ErrNodeExists:              "node exists",
	ErrNotEmpty:                "node has children",
	ErrSessionExpired:          "session expired",
	ErrInvalidACL:              "invalid ACL",
	ErrAuthFailed:              "authentication failed",
	ErrClosing:                 "client is closed",
	ErrSessionMoved:            "session moved to another connection",
	ErrThrottled:               "too many requests are waiting",
	ErrNoServer:                "no server could be reached",
}

// Error describes the code in words.
func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return "zookeeper: " + text
	}
	return "zookeeper: error " + strconv.Itoa(int(c))
}

// Err returns nil for OK and the code itself otherwise.
func (c Code) Err() error {
	if c == OK {
		return nil
	}
	return c
}
