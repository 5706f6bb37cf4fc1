// Package tidy has no code, only tests that read the sources of this module and
// check the rules of CONTRIBUTING.md. The test files:
//
//   - tidy_test.go: which package may import which, dependencies, form, names
//   - core_test.go: what the core and the simulator may not do
//   - prose_test.go: words that no text may contain, and citations of rules
//   - proof_test.go, prose_proof_test.go: each rule fails where it is broken
package tidy
