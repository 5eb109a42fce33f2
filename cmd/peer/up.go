package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/host"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// An upCommand has the flags of up.
type upCommand struct {
	*cli
	network, networkKey string
	listen, join, via   []string
	noMDNS, relay       bool
	lease               time.Duration
	noLease             bool
	k                   int
	leech               bool
	legacy              []string
	logLevel            string
}

func upCmd(c *cli) *cobra.Command {
	u := &upCommand{cli: c}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Runs a peer in the foreground until it is interrupted",
		Long: `up runs a peer. It finds others on the local network by itself; elsewhere name one
with --join, which is dialled again for ever. Peers that were neighbours once are remembered.

With --json the first line says when the peer is ready:
{"event":"ready","id":…,"addrs":[…],"dashboard":null}`,
		Example: `  peer up
  peer up --data ./second --join /ip4/192.0.2.7/udp/44565/quic-v1/p2p/12D3Koo…
  peer key new lab.key && peer up --network lab --network-key lab.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&u.network, "network", "lobby", "name of the network; without a key whoever knows it may join")
	flags.StringVar(&u.networkKey, "network-key", "", "file with the key of a private network, see `peer key new`")
	flags.StringArrayVar(&u.listen, "listen", nil, "multiaddr to listen on, may be repeated (default: all interfaces and transports, port 44565 or another)")
	flags.StringArrayVar(&u.join, "join", nil, "multiaddr of a peer to join, may be repeated")
	flags.BoolVar(&u.noMDNS, "no-mdns", false, "do not look for peers on the local network, nor be found there")
	flags.BoolVar(&u.relay, "relay", false, "let peers that cannot be reached be reached by way of this one, which can be")
	flags.StringArrayVar(&u.via, "via", nil, "multiaddr of a peer with --relay by way of which this one is to be reached, may be repeated")
	flags.DurationVar(&u.lease, "lease", time.Hour, "how long a key of the dictionary belongs to its writer; the same at all peers")
	flags.BoolVar(&u.noLease, "no-lease", false, "let everybody write every key at any time; likewise")
	flags.IntVar(&u.k, "k", 16, "at most 2^k peers store the table; the same at all peers")
	flags.BoolVar(&u.leech, "leech", false, "do not store any of the table, only read and write it")
	flags.StringArrayVar(&u.legacy, "legacy", nil, "URL of an old network to be a bridge to, see `peer bridge add --help`, may be repeated")
	flags.StringVar(&u.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (u *upCommand) run(ctx context.Context) error {
	s, err := u.settings()
	if err != nil {
		return err
	}
	unlock, err := lockData(u.data)
	if err != nil {
		return err
	}
	defer unlock()
	return failure(serve(ctx, s, u.ready))
}

// settings returns the configuration that the flags describe, or an error about a flag.
func (u *upCommand) settings() (*settings, error) {
	log, err := u.logger()
	if err != nil {
		return nil, err
	}
	s := &settings{
		data: u.data, network: u.network, leech: u.leech, legacy: u.legacy, log: log,
		host:  host.Options{DataDir: u.data, NoMDNS: u.noMDNS, RelayService: u.relay, Logger: log},
		mesh:  mesh.Options{Dir: filepath.Join(u.data, "mesh"), Logger: log},
		sync:  p2psync.Options{Lease: u.lease, NoLease: u.noLease, Logger: log},
		chord: chord.Options{K: u.k, Logger: log},
	}
	for _, text := range u.listen {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, usage("--listen %q is no multiaddr, such as /ip4/0.0.0.0/tcp/0: %v", text, err)
		}
		s.host.Listen = append(s.host.Listen, addr)
	}
	if s.mesh.Join, err = peerAddrs("--join", u.join); err != nil {
		return nil, err
	}
	if s.host.Relays, err = peerAddrs("--via", u.via); err != nil {
		return nil, err
	}
	if u.networkKey != "" {
		if s.mesh.Key, err = readNetworkKey(u.networkKey); err != nil {
			return nil, failure(err)
		}
	}
	if u.lease < p2psync.MinLease || u.lease > p2psync.MaxLease {
		return nil, usage("--lease %v: it is from %v to %v", u.lease, p2psync.MinLease, p2psync.MaxLease)
	}
	if u.k < 1 || u.k > chord.MaxK {
		return nil, usage("--k %d: it is from 1 to %d", u.k, chord.MaxK)
	}
	for _, url := range u.legacy {
		if _, _, _, err := compat.ParseURL(url); err != nil {
			return nil, usage("--legacy: %v", err)
		}
	}
	return s, nil
}

func peerAddrs(flag string, texts []string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, text := range texts {
		info, err := peer.AddrInfoFromString(text)
		if err != nil {
			return nil, usage("%s %q is no address of a peer, such as /ip4/192.0.2.1/tcp/44565/p2p/12D3Koo…: %v", flag, text, err)
		}
		infos = append(infos, *info)
	}
	return infos, nil
}

// ready prints that the control API serves.
func (u *upCommand) ready(h libp2phost.Host) error {
	id, addrs := h.ID(), control.Addrs(h)
	if u.json {
		return json.NewEncoder(u.out).Encode(struct {
			Event     string   `json:"event"`
			ID        peer.ID  `json:"id"`
			Addrs     []string `json:"addrs"`
			Dashboard *string  `json:"dashboard"`
		}{"ready", id, addrs, nil})
	}
	kind := "the open network"
	if u.networkKey != "" {
		kind = "the private network"
	}
	data := ""
	if u.data != defaultData() {
		data = " --data " + u.data
	}
	_, err := fmt.Fprintf(u.out, "%s is up in %s %q. Its addresses, for --join:\n  %s\nIn another terminal:\n  peer mesh send hello%s\n  peer mesh recv -f%s\n",
		id, kind, u.network, strings.Join(short(addrs), "\n  "), data, data)
	return err
}

// short returns the addresses without those that only browsers need, which are many and long.
func short(addrs []string) []string {
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return strings.Contains(a, "/webtransport/") || strings.Contains(a, "/ws/")
	})
}

func (u *upCommand) logger() (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(u.logLevel)); err != nil {
		return nil, usage("--log-level %q: it is debug, info, warn or error", u.logLevel)
	}
	return slog.New(slog.NewTextHandler(u.err, &slog.HandlerOptions{Level: l})), nil
}
