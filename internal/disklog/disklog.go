// Package disklog hands on what pebble has to say about a store on disk.
package disklog

import (
	"fmt"
	"log/slog"
)

// A Logger is a pebble.Logger.
type Logger struct{ Log *slog.Logger }

// Infof is for what only developers want to know.
func (l Logger) Infof(format string, args ...any) {
	l.Log.Debug("store: " + fmt.Sprintf(format, args...))
}

// Errorf is for what went wrong.
func (l Logger) Errorf(format string, args ...any) {
	l.Log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when what was written cannot be made durable. There is no way on.
func (l Logger) Fatalf(format string, args ...any) { panic("store: " + fmt.Sprintf(format, args...)) }
