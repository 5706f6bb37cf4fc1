// Package realtest holds what the tests of node/real and of the packages below
// it share: a running loop, patient waiting, and a log that can be read.
//
// It knows the loop only as an interface, so that the loop's own tests can use
// it too. No code outside tests imports it.
package realtest
