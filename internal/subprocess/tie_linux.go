package subprocess

import (
	"os/exec"
	"syscall"
)

// Tie makes the kernel kill the process when this one dies, however it dies, so that a
// killed test run leaves nothing running. It also keeps a terminal's Ctrl-C from the
// process: this one decides when it ends.
func Tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
