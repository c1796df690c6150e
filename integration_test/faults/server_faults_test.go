//go:build unix

package faults_test

import (
	"testing"
)

func TestHang(t *testing.T) {
	s := startServer(t)
	scenario{Fault: "hang (SIGSTOP)", URL: s.URL(), Inject: s.hang, Lift: s.resume}.run(t)
}
