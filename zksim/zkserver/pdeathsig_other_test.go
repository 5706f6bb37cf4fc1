//go:build !linux

package zkserver

import "syscall"

// diesWithParent has no equivalent here: the test's cleanup kills the child.
func diesWithParent() *syscall.SysProcAttr { return nil }
