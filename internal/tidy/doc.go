// Package tidy has no code, only tests that read the sources of this module and
// check the rules of CONTRIBUTING.md. The test files:
//
//   - tidy_test.go: which package may import which, dependencies, form, names
//   - core_test.go: what the core and the simulator may not do
//   - proof_test.go: for each rule, that it fails where it is broken
package tidy
