//go:build !linux

package main

import "syscall"

// detached keeps the terminal's Ctrl-C from a node, so that the launcher can
// end all of them in order. Outside Linux nothing ends the nodes of a launcher
// that is killed.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
