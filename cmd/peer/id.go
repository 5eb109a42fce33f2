package main

import (
	"errors"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/host"
)

func (c *cli) idCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Prints the peer's ID, also when it is not running",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, id, err := c.identity()
			if err != nil {
				return err
			}
			return c.print(map[string]any{"id": id}, id.String())
		},
	}
}

// identity returns the identity in the data directory.
func (c *cli) identity() (crypto.PrivKey, peer.ID, error) {
	key, err := host.LoadIdentity(c.data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", &control.Error{
			Text: "there is no identity in " + c.data, Exit: control.ExitMissing,
			Hint: "`peer up` or `peer key new` makes one",
		}
	}
	if err != nil {
		return nil, "", failure(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	return key, id, failure(err)
}
