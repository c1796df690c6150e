package redisserver

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the server when this process dies, however it
// dies, so that a killed test run leaves nothing running.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
