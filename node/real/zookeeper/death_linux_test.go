package zookeeper

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the thread that starts it ends.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
