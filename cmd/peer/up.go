package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

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

// upFlags are the settings of a peer.
type upFlags struct {
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

func (c *cli) upCmd() *cobra.Command {
	var f upFlags
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
		RunE: func(cmd *cobra.Command, _ []string) error { return c.up(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.network, "network", "lobby", "name of the network; without a key whoever knows it may join")
	flags.StringVar(&f.networkKey, "network-key", "", "file with the key of a private network, see `peer key new`")
	flags.StringArrayVar(&f.listen, "listen", nil, "multiaddr to listen on, may be repeated (default: all interfaces and transports, port 44565 or another)")
	flags.StringArrayVar(&f.join, "join", nil, "multiaddr of a peer to join, may be repeated")
	flags.BoolVar(&f.noMDNS, "no-mdns", false, "do not look for peers on the local network, nor be found there")
	flags.BoolVar(&f.relay, "relay", false, "let peers that cannot be reached be reached by way of this one, which can be")
	flags.StringArrayVar(&f.via, "via", nil, "multiaddr of a peer with --relay by way of which this one is to be reached, may be repeated")
	flags.DurationVar(&f.lease, "lease", time.Hour, "how long a key of the dictionary belongs to its writer; the same at all peers")
	flags.BoolVar(&f.noLease, "no-lease", false, "let everybody write every key at any time; likewise")
	flags.IntVar(&f.k, "k", 16, "at most 2^k peers store the table; the same at all peers")
	flags.BoolVar(&f.leech, "leech", false, "do not store any of the table, only read and write it")
	flags.StringArrayVar(&f.legacy, "legacy", nil, "URL of an old network to be a bridge to, see `peer bridge add --help`, may be repeated")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (c *cli) up(ctx context.Context, f *upFlags) error {
	log, err := c.logger(f.logLevel)
	if err != nil {
		return err
	}
	hostOptions := &host.Options{DataDir: c.data, NoMDNS: f.noMDNS, RelayService: f.relay, Logger: log}
	meshOptions := &mesh.Options{Dir: filepath.Join(c.data, "mesh"), Logger: log}
	for _, text := range f.listen {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return usage("--listen %q is no multiaddr, such as /ip4/0.0.0.0/tcp/0: %v", text, err)
		}
		hostOptions.Listen = append(hostOptions.Listen, addr)
	}
	if meshOptions.Join, err = peerAddrs("--join", f.join); err != nil {
		return err
	}
	if hostOptions.Relays, err = peerAddrs("--via", f.via); err != nil {
		return err
	}
	if f.networkKey != "" {
		if meshOptions.Key, err = readNetworkKey(f.networkKey); err != nil {
			return failure(err)
		}
	}
	if f.lease < p2psync.MinLease || f.lease > p2psync.MaxLease {
		return usage("--lease %v: it is from %v to %v", f.lease, p2psync.MinLease, p2psync.MaxLease)
	}
	if f.k < 1 || f.k > chord.MaxK {
		return usage("--k %d: it is from 1 to %d", f.k, chord.MaxK)
	}
	for _, url := range f.legacy {
		if _, _, _, err := compat.ParseURL(url); err != nil {
			return usage("--legacy: %v", err)
		}
	}
	unlock, err := lockData(c.data)
	if err != nil {
		return err
	}
	defer unlock()
	return failure(c.serve(ctx, f, hostOptions, meshOptions, log))
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

// serve runs the parts of a peer until the context ends, and ends them in the
// opposite order.
func (c *cli) serve(ctx context.Context, f *upFlags, hostOptions *host.Options, meshOptions *mesh.Options, log *slog.Logger) (err error) {
	h, err := host.New(hostOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var box control.Mailbox
	meshOptions.Handle = box.Put // before the dictionary is loaded, which takes its time
	m, err := mesh.Join(ctx, h, f.network, meshOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := p2psync.Open(ctx, m, &p2psync.Options{
		Dir: filepath.Join(c.data, "sync", m.Tag()), Lease: f.lease, NoLease: f.noLease, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	t, err := chord.Open(ctx, m, &chord.Options{K: f.k, Dir: filepath.Join(c.data, "chord", m.Tag()), Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	b := compat.NewBridge(m, &compat.BridgeOptions{Sync: d, Chord: t, Logger: log})
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, url := range f.legacy {
		name, opts, addrs, err := compat.ParseURL(url)
		if err != nil {
			return err
		}
		if _, err := b.Add(ctx, name, opts, addrs...); err != nil {
			return err
		}
	}
	l, err := control.Listen(c.data)
	if err != nil {
		return err
	}
	joined := make(chan struct{})
	joining, cancel := context.WithCancel(ctx)
	go func() {
		defer close(joined)
		if !f.leech {
			join(joining, t, log)
		}
	}()
	defer func() { cancel(); <-joined }()
	s := control.Serve(l, control.Parts{Host: h, Mesh: m, Dict: d, Table: t, Bridge: b, Joined: joined, Box: &box, Dir: c.data, MDNS: !f.noMDNS})
	defer func() { err = errors.Join(err, s.Close()) }()
	refused := context.AfterFunc(ctx, func() { log.Info("going down") })
	defer refused()
	if err := c.ready(h.ID(), control.Addrs(h), f, meshOptions.Key != nil); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// join has a peer store, and tries again while that may help.
func join(ctx context.Context, t *chord.Table, log *slog.Logger) {
	for {
		err := t.Join(ctx)
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, chord.ErrClosed):
			return
		case errors.Is(err, chord.ErrRingFull), errors.Is(err, chord.ErrRefused):
			log.Warn("this peer does not store, only reads and writes", "err", err)
			return
		}
		log.Info("cannot store yet", "err", err)
	}
}

// ready tells that the control API serves.
func (c *cli) ready(id peer.ID, addrs []string, f *upFlags, private bool) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(struct {
			Event     string   `json:"event"`
			ID        peer.ID  `json:"id"`
			Addrs     []string `json:"addrs"`
			Dashboard *string  `json:"dashboard"`
		}{"ready", id, addrs, nil})
	}
	kind := "the open network"
	if private {
		kind = "the private network"
	}
	data := ""
	if c.data != defaultData() {
		data = " --data " + c.data
	}
	_, err := fmt.Fprintf(c.out, "%s is up in %s %q. Its addresses, for --join:\n  %s\nIn another terminal:\n  peer mesh send hello%s\n  peer mesh recv -f%s\n",
		id, kind, f.network, strings.Join(short(addrs), "\n  "), data, data)
	return err
}

// short leaves out the addresses that only browsers need: there are many and
// they are long. With --json all are shown.
func short(addrs []string) []string {
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return strings.Contains(a, "/webtransport/") || strings.Contains(a, "/ws/")
	})
}

func (c *cli) logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("--log-level %q: it is debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: l})), nil
}
