package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/p2p-today/go2p/internal/file"
)

const (
	socketName  = "control.sock"
	pointerName = "control.path" // says where the socket is if it is not here
	maxPath     = 100            // the systems' limits begin at 104 bytes
)

// Listen opens the socket of the peer with the given data directory, which only its owner may open. The caller holds the
// lock of the directory, so that Listen may remove a socket that a killed peer has left. If the name of the socket would
// be longer than the system allows, the socket is in the user's runtime directory, and a file says where.
func Listen(dir string) (net.Listener, error) {
	name := filepath.Join(dir, socketName)
	pointer := filepath.Join(dir, pointerName)
	if err := removeStale(dir, pointer); err != nil {
		return nil, err
	}
	if len(name) > maxPath {
		runtime, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "go2p-") // for its owner alone
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(dir))
		name = filepath.Join(runtime, hex.EncodeToString(sum[:4])+".sock")
		if err := file.Replace(pointer, []byte(name+"\n")); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &listener{l, dir, pointer}, nil
}

// removeStale removes the socket that a killed peer has left.
func removeStale(dir, pointer string) error {
	old, err := socketPath(dir)
	if err != nil {
		return err
	}
	if err := remove(old); err != nil {
		return err
	}
	if filepath.Base(old) != socketName {
		os.Remove(filepath.Dir(old))
	}
	return remove(pointer)
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// A listener removes its files when it is closed.
type listener struct {
	net.Listener
	dir, pointer string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	return errors.Join(err, removeStale(l.dir, l.pointer))
}

// socketPath returns the name of the socket of a data directory.
func socketPath(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, pointerName))
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, socketName), nil
	}
	return strings.TrimSpace(string(data)), err
}
