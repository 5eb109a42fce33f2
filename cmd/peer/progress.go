package main

import (
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress is a progress bar on standard error, if that is a terminal.
type progress struct{ bar *progressbar.ProgressBar }

// progress shows a bar for work of so many steps; -1 if their number is not known.
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

// at sets how many steps are done, and how many there are.
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
