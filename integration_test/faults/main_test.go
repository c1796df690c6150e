//go:build unix

// Package faults_test breaks Redis, and the way to it, under traffic, and looks at what
// callers see: which errors, how late, whether any window held too much, and how soon all
// is well again. It makes a table of that.
//
//	go test ./integration_test/faults             the short form, about half a minute
//	make faults                                   the long one, with the table
package faults_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var (
	long     = flag.Bool("long", false, "let each fault last for seconds, and hold the time bounds to what is promised")
	markdown = flag.String("markdown", "", "write the table to this file, too, as Markdown")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	// Toxiproxy leaves those of connections that broke while bytes were on their way.
	const toxiproxy = "github.com/Shopify/toxiproxy/v2"
	err := goleak.Find(
		// rueidis closes the connections of nodes that a Cluster no longer has some seconds later.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		goleak.IgnoreAnyFunction(toxiproxy+"/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction(toxiproxy+".(*ToxicLink).read"),
		goleak.IgnoreAnyFunction(toxiproxy+".(*ToxicLink).write"),
		goleak.IgnoreAnyFunction(toxiproxy+".(*ToxicLink).Start.func1"),
	)
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "faults: goroutines are left:", err)
		code = 1
	}
	if err := show(); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func show() error {
	if *long || testing.Verbose() {
		if err := table.print(os.Stdout); err != nil {
			return err
		}
	}
	if *markdown == "" {
		return nil
	}
	file, err := os.Create(*markdown)
	if err != nil {
		return err
	}
	if err := table.markdown(file); err != nil {
		return err
	}
	return file.Close()
}

func shortOrLong[T any](short, inLong T) T {
	if *long {
		return inLong
	}
	return short
}
