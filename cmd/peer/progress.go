package main

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far long work is, on standard error if that is a terminal.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins to show work of so many steps; below 0 their number is not known.
func (c *cli) progress(what string, steps int) progress {
	if f, ok := c.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return progress{}
	}
	return progress{progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(c.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100_000_000),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
	)}
}

// at shows that so many of so many steps are done.
func (p progress) at(done, total uint64) {
	if p.bar != nil {
		p.bar.ChangeMax64(int64(total))
		p.bar.Set64(int64(done))
	}
}

func (p progress) add(n int) {
	if p.bar != nil {
		p.bar.Add(n)
	}
}

func (p progress) done() {
	if p.bar != nil {
		p.bar.Finish()
	}
}
