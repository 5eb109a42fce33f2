package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/p2p-today/go2p/internal/file"
)

// KeyFile is the name of the file with the identity in a data directory. It holds
// a private key in libp2p's protobuf form.
const KeyFile = "identity.key"

// LoadIdentity returns the identity in a data directory. The error wraps fs.ErrNotExist if
// there is none. LoadIdentity refuses a file that group or others may read.
func LoadIdentity(dir string) (crypto.PrivKey, error) {
	name := filepath.Join(dir, KeyFile)
	if err := CheckPrivate(name); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity: %s is no private key: %w (restore it from a copy; without it move it away for a new identity)", name, err)
	}
	return key, nil
}

// NewIdentity makes an identity and stores it in a data directory, and makes the directory
// if it does not exist. An existing identity is kept; the error wraps fs.ErrExist then.
func NewIdentity(dir string) (crypto.PrivKey, error) {
	name := filepath.Join(dir, KeyFile)
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("identity: %s: %w", name, fs.ErrExist)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err := file.Replace(name, data); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return key, nil
}

// identity returns the identity in dir, and stores a new one if there is none. With an empty
// dir it returns a new one that it does not store.
func identity(dir string) (crypto.PrivKey, error) {
	if dir == "" {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return key, err
	}
	key, err := LoadIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return NewIdentity(dir)
	}
	return key, err
}

// CheckPrivate returns an error if group or others may read or write a file. The error says
// what to do. On Windows, CheckPrivate checks nothing.
func CheckPrivate(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%s can be read or written by others (mode %04o): run chmod 600 %s, and if others have read it, make a new one", name, mode, name)
	}
	return nil
}
