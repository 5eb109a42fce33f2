package main

import (
	"bufio"
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
)

// A caller sends 100 bytes to one peer and waits for its acknowledgement.
type caller struct {
	title string
	start func() (call func(), stop func())
}

func (c caller) name() string { return c.title }

var callers = []caller{
	{"go2p whisper", whispers},
	{"request on an open stream", openStream},
	{"stream for each request", freshStreams},
}

const request = 100

func roundTrip(c caller, count int) float64 {
	call, stop := c.start()
	defer stop()
	for range count / 10 {
		call()
	}
	var times []float64
	for range count {
		start := time.Now()
		call()
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
	}
	return median(times)
}

func whispers() (func(), func()) {
	ctx := context.Background()
	hs := hosts(2)
	a, err := mesh.Join(ctx, hs[0], "bench", nil)
	check(err)
	b, err := mesh.Join(ctx, hs[1], "bench", nil)
	check(err)
	b.Handle(func(context.Context, mesh.Message) bool { return true })
	check(a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: hs[1].Addrs()}))
	data := make([]byte, request)
	return func() { check(a.Whisper(ctx, b.ID(), data)) }, func() {
		a.Close()
		b.Close()
		closeAll(hs)
	}
}

const echo = "/bench/echo"

// serveEcho answers each request with one byte.
func serveEcho(s network.Stream) {
	r := bufio.NewReader(s)
	buf := make([]byte, request)
	for {
		if _, err := io.ReadFull(r, buf); err != nil {
			s.Reset()
			return
		}
		if _, err := s.Write(buf[:1]); err != nil {
			s.Reset()
			return
		}
	}
}

func openStream() (func(), func()) {
	hs := hosts(2)
	hs[1].SetStreamHandler(echo, serveEcho)
	s, err := hs[0].NewStream(context.Background(), hs[1].ID(), echo)
	check(err)
	buf := make([]byte, request)
	return func() { exchange(s, buf) }, func() { closeAll(hs) }
}

func freshStreams() (func(), func()) {
	hs := hosts(2)
	hs[1].SetStreamHandler(echo, serveEcho)
	buf := make([]byte, request)
	return func() {
		s, err := hs[0].NewStream(context.Background(), hs[1].ID(), echo)
		check(err)
		exchange(s, buf)
		s.Reset()
	}, func() { closeAll(hs) }
}

func exchange(s network.Stream, buf []byte) {
	_, err := s.Write(buf)
	check(err)
	_, err = io.ReadFull(s, buf[:1])
	check(err)
}
