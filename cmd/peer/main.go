// Command peer runs a go2p peer and talks to it.
//
// Results go to standard output, as JSON with --json. Messages for a person go to standard error, with a hint if one is
// known.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
