// Package file replaces small files whole or not at all.
package file

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace puts data in the place of a file, which only its owner may read, whole or
// not at all, also when the power fails meanwhile.
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
