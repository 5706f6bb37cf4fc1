package zkserver

import "syscall"

// diesWithParent makes a child end when the thread that started it does; the
// caller keeps that thread.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
