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

// LoadIdentity returns the identity in a data directory. Without one the error is
// fs.ErrNotExist (wrapped). A file that group or others may read is refused.
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

// NewIdentity makes an identity and stores it in a data directory, which is made
// if it is missing. An identity that is there is kept: the error is then
// fs.ErrExist (wrapped).
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

// identity returns the identity in dir, a new one if there is none, or with an
// empty dir one that is stored nowhere.
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

// CheckPrivate returns an error, with what to do about it, if group or others may
// read or write a file. On Windows, which has other means, it checks nothing.
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
