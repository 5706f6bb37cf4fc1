//go:build !linux

package zookeeper

import "os/exec"

// dieWithParent does nothing outside Linux: the cleanup of the test kills the child.
func dieWithParent(*exec.Cmd) {}
