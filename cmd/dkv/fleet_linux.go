package main

import "syscall"

// detached keeps the terminal's Ctrl-C from a node, so that the launcher can
// end all of them in order, and ends the node when the launcher is killed.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
