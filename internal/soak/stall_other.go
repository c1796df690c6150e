//go:build !unix

package main

import "os"

// No signal stalls a process here; sending nil is an error, which says so.
var stall, goOn os.Signal
