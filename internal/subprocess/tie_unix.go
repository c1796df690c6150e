//go:build unix && !linux

package subprocess

import (
	"os/exec"
	"syscall"
)

// Tie keeps a terminal's Ctrl-C from the process: this one decides when it ends. The
// kernel cannot end it with this one.
func Tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
