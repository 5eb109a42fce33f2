package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"

	"github.com/p2p-today/go2p/internal/file"
)

// lockData locks the data directory for this process. The system releases the lock when the process ends, also after
// SIGKILL. A lock file that is left over has no meaning.
func lockData(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failure(err)
	}
	pidFile := filepath.Join(dir, "pid")
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, failure(fmt.Errorf("cannot lock %s: %w", dir, err))
	}
	if !held {
		pid, err := os.ReadFile(pidFile)
		if err != nil {
			pid = []byte("unknown")
		}
		return nil, &exitError{
			Text: fmt.Sprintf("%s is in use by the peer with the process id %s", dir, strings.TrimSpace(string(pid))),
			Exit: exitFailure,
			Hint: "talk to it with `peer status`, or start a second peer with another --data",
		}
	}
	if err := file.Replace(pidFile, fmt.Appendln(nil, os.Getpid())); err != nil {
		lock.Unlock()
		return nil, failure(err)
	}
	return func() {
		os.Remove(pidFile)
		lock.Unlock()
	}, nil
}

// defaultData returns the default of --data: a directory below the one for the state of a user's programs.
func defaultData() string {
	if dir := os.Getenv("PEER_DATA"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "go2p")
	}
	switch runtime.GOOS {
	case "windows", "darwin", "ios":
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, "go2p")
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "go2p-data"
	}
	return filepath.Join(home, ".local", "state", "go2p")
}
