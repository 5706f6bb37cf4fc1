// Package httpapi serves clients over HTTP: it turns calls into requests for the
// node, and the node's responses into answers.
//
// It checks only the form of a call; what a request means, the node decides. A
// response that is not done becomes a problem (RFC 9457) whose outcome says
// whether the request was refused, so that it never takes effect, or is unknown.
//
// Start with api.go, which routes calls and waits for the node. kv.go serves
// /v1/kv/, json.go the calls /put, /get and /delete, pages.go the pages about
// the cluster, members.go and settings.go the commands of operators, and serve.go
// sets the limits of the server.
package httpapi
