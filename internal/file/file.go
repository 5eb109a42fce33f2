// Package file replaces small files atomically.
package file

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace replaces the content of a file with data, or makes the file. The file has either
// its old content or all of the new, even after a power failure. Only its owner may read it.
func Replace(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	if d, err := os.Open(filepath.Dir(name)); err == nil {
		d.Sync() // makes the new name durable, where the system can
		d.Close()
	}
	return nil
}
