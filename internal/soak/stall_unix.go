//go:build unix

package main

import (
	"os"
	"syscall"
)

// Signals that stall a process and let it go on.
var stall, goOn os.Signal = syscall.SIGSTOP, syscall.SIGCONT
