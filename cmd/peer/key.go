package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/host"
	"github.com/p2p-today/go2p/internal/file"
	"github.com/p2p-today/go2p/mesh"
)

func keyCmd(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Makes and shows keys: of this peer, and of private networks",
	}
	group(cmd)
	cmd.AddCommand(keyNewCmd(c), keyShowCmd(c))
	return cmd
}

func keyNewCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "new [FILE]",
		Short: "Makes the peer's identity, or with FILE the key of a private network",
		Long: `Without FILE this makes the identity of the peer in the data directory, as the first
"peer up" would. With FILE it writes the key of a private network there, 64 hex digits that
only you may read. Give a copy to each peer of the network: peer up --network-key FILE.

What exists is never replaced.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return newNetworkKey(c, args[0])
			}
			key, err := host.NewIdentity(c.data)
			if errors.Is(err, fs.ErrExist) {
				return &exitError{Text: err.Error(), Exit: exitFailure, Hint: "`peer id` prints its ID"}
			}
			if err != nil {
				return failure(err)
			}
			id, err := peer.IDFromPrivateKey(key)
			if err != nil {
				return failure(err)
			}
			return c.print(map[string]any{"id": id}, id.String())
		},
	}
}

func newNetworkKey(c *cli, name string) error {
	if _, err := os.Lstat(name); err == nil {
		return failure(fmt.Errorf("%s: %w", name, fs.ErrExist))
	}
	var key [mesh.KeySize]byte
	rand.Read(key[:])
	if err := file.Replace(name, []byte(hex.EncodeToString(key[:])+"\n")); err != nil {
		return failure(err)
	}
	c.say("copy %s to the other peers of the network, and start each with --network-key", name)
	return c.print(map[string]any{"file": name}, name)
}

func keyShowCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "show [FILE]",
		Short: "Shows the peer's public key, or with FILE the key of a private network",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				key, err := readNetworkKey(args[0])
				if err != nil {
					return failure(err)
				}
				text := hex.EncodeToString(key)
				return c.print(map[string]any{"network_key": text}, text)
			}
			key, id, err := identity(c.data)
			if err != nil {
				return err
			}
			raw, err := key.GetPublic().Raw()
			if err != nil {
				return failure(err)
			}
			public, kind := base64.StdEncoding.EncodeToString(raw), key.Type().String()
			return c.print(map[string]any{
				"id": id, "type": kind, "public_key": public, "file": filepath.Join(c.data, host.KeyFile),
			}, fmt.Sprintf("%s %s %s", kind, public, id))
		},
	}
}

// readNetworkKey reads a file of 64 hex digits that only its owner may read.
func readNetworkKey(name string) ([]byte, error) {
	if err := host.CheckPrivate(name); err != nil {
		return nil, fmt.Errorf("network key: %w", err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("network key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != mesh.KeySize {
		return nil, fmt.Errorf("network key: %s does not hold %d hex digits: make one with `peer key new FILE`", name, 2*mesh.KeySize)
	}
	return key, nil
}
