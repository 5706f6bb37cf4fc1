// Package client talks to a DKV cluster over HTTP from Go programs.
//
// A call ends in one of three ways: with an Answer, with an *Error whose
// Outcome is Refused (certainly not applied, and it never will be), or with
// one whose Outcome is Unknown (a write may have been applied, or may yet be).
// A refused call is tried once at each further server; an unknown one never
// is, for a write must not be made twice behind its caller's back.
//
// The package knows the HTTP API and nothing else of this module.
package client
