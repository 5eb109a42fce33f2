package main

import (
	"errors"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/host"
)

func idCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Prints the peer's ID, also when it is not running",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, id, err := identity(c.data)
			if err != nil {
				return err
			}
			return c.print(map[string]any{"id": id}, id.String())
		},
	}
}

// identity returns the identity in a data directory.
func identity(data string) (crypto.PrivKey, peer.ID, error) {
	key, err := host.LoadIdentity(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", &exitError{
			Text: "there is no identity in " + data, Exit: exitMissing,
			Hint: "`peer up` or `peer key new` makes one",
		}
	}
	if err != nil {
		return nil, "", failure(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	return key, id, failure(err)
}
