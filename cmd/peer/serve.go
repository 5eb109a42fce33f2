package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	libp2phost "github.com/libp2p/go-libp2p/core/host"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge"
	"github.com/p2p-today/go2p/host"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// settings are the configuration of a peer.
type settings struct {
	data, network string
	host          host.Options
	mesh          mesh.Options
	sync          p2psync.Options
	chord         chord.Options
	leech         bool     // the peer does not store any of the table
	legacy        []string // URLs of old networks
	log           *slog.Logger
}

// serve starts the parts of a peer, runs them until the context ends, and closes them in the opposite order. It calls
// ready when the control API serves.
func serve(ctx context.Context, s *settings, ready func(libp2phost.Host) error) (err error) {
	h, err := host.New(&s.host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var box control.Mailbox
	s.mesh.Handle = box.Put // set before the dictionary is loaded, which may take long
	m, err := mesh.Join(ctx, h, s.network, &s.mesh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s.sync.Dir = filepath.Join(s.data, "sync", m.Tag())
	d, err := p2psync.Open(ctx, m, &s.sync)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	s.chord.Dir = filepath.Join(s.data, "chord", m.Tag())
	t, err := chord.Open(ctx, m, &s.chord)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	b := bridge.New(m, &bridge.Options{Sync: d, Chord: t, Logger: s.log})
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, url := range s.legacy {
		name, opts, addrs, err := compat.ParseURL(url)
		if err != nil {
			return err
		}
		if _, err := b.Add(ctx, name, opts, addrs...); err != nil {
			return err
		}
	}
	l, err := control.Listen(s.data)
	if err != nil {
		return err
	}
	joined := make(chan struct{})
	joining, cancel := context.WithCancel(ctx)
	go func() {
		defer close(joined)
		if !s.leech {
			join(joining, t, s.log)
		}
	}()
	defer func() { cancel(); <-joined }()
	api := control.Serve(l, control.Parts{
		Host: h, Mesh: m, Dict: d, Table: t, Bridge: b, Joined: joined, Mailbox: &box, Dir: s.data, MDNS: !s.host.NoMDNS,
	})
	defer func() { err = errors.Join(err, api.Close()) }()
	ending := context.AfterFunc(ctx, func() { s.log.Info("going down") })
	defer ending()
	if err := ready(h); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// join makes the peer store its share of the table. It tries again until that succeeds or cannot succeed.
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
