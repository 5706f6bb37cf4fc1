package main

import "syscall"

// detached shields a node from the terminal's Ctrl-C, so that dkv local can stop
// all of them in order, and kills the node when dkv local is killed.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
