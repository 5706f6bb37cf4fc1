// Package client talks to a DKV cluster over HTTP from Go programs.
//
// A call ends in one of three ways: with an Answer; with an *Error whose Outcome is
// Refused, so that it was not applied and never will be; or with one whose Outcome is
// Unknown, so that a write may have been applied or may still be. A refused call is
// tried once at each other server. A call of unknown outcome is never repeated,
// because a write must not be made twice without its caller knowing.
//
// The package knows the HTTP API and nothing else of this module. Start with
// client.go; cluster.go reads the pages about the cluster.
package client
