package compat

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	dialTime  = 10 * time.Second
	writeTime = 10 * time.Second
	frameTime = 120 * time.Second // for one frame, from its first byte
)

// A pipe carries frames. One goroutine reads, and one writes.
type pipe interface {
	// read returns the body of the next frame. Error: wire.ErrTooLarge if it is longer than limit bytes.
	read(limit int) ([]byte, error)
	// write writes one frame at once.
	write(body []byte) error
	remote() string
	// closeWrite says that nothing more is written. Over WebSocket it closes the pipe.
	closeWrite() error
	Close() error
}

// dialPipe connects to a node at an address, host:port.
func dialPipe(ctx context.Context, t Transport, addr string) (pipe, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	switch t {
	case WebSocket:
		d := websocket.Dialer{HandshakeTimeout: dialTime}
		ws, _, err := d.DialContext(ctx, "ws://"+addr+"/", nil)
		if err != nil {
			return nil, err
		}
		return newSocket(ws), nil
	case SSL:
		// Nobody has a certificate that anybody could check: the old nodes make theirs up.
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return stream{c}, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return stream{c}, nil
}

// A stream is a pipe over TCP or TLS.
type stream struct{ net.Conn }

func (s stream) remote() string { return s.RemoteAddr().String() }

func (s stream) read(limit int) ([]byte, error) { return readFrame(s, limit) }

func (s stream) closeWrite() error { return s.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// readFrame waits for a frame without limit, and then for its end.
func readFrame(r interface {
	io.Reader
	SetReadDeadline(time.Time) error
}, limit int) ([]byte, error) {
	first := make([]byte, 1)
	r.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(r, first); err != nil {
		return nil, err
	}
	r.SetReadDeadline(time.Now().Add(frameTime))
	return wire.ReadFrame(io.MultiReader(bytes.NewReader(first), r), limit)
}

func (s stream) write(body []byte) error {
	s.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.Write(wire.AppendFrame(make([]byte, 0, 4+len(body)), body))
	return err
}

// A socket is a pipe over WebSocket. Frames travel in messages, which need not begin and end with them.
type socket struct {
	ws      *websocket.Conn
	message io.Reader
}

func newSocket(ws *websocket.Conn) *socket {
	ws.SetReadLimit(wire.MaxFrame + 4)
	return &socket{ws: ws}
}

func (s *socket) remote() string { return s.ws.RemoteAddr().String() }

func (s *socket) Close() error { return s.ws.Close() }

func (s *socket) closeWrite() error { return s.ws.Close() }

func (s *socket) SetReadDeadline(t time.Time) error { return s.ws.SetReadDeadline(t) }

func (s *socket) read(limit int) ([]byte, error) { return readFrame(s, limit) }

// Read reads the messages as one stream.
func (s *socket) Read(b []byte) (int, error) {
	for {
		if s.message == nil {
			_, r, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			s.message = r
		}
		n, err := s.message.Read(b)
		if err == io.EOF {
			s.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *socket) write(body []byte) error {
	s.ws.SetWriteDeadline(time.Now().Add(writeTime))
	return s.ws.WriteMessage(websocket.BinaryMessage, wire.AppendFrame(make([]byte, 0, 4+len(body)), body))
}

// listenPipes returns a listener, and what accepts pipes until the listener is closed. Accept must not block.
func listenPipes(t Transport, addr string, accept func(pipe)) (net.Listener, func() error, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	switch t {
	case WebSocket:
		up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }} // browser nodes come from anywhere
		handler := func(w http.ResponseWriter, r *http.Request) {
			if ws, err := up.Upgrade(w, r, nil); err == nil {
				accept(newSocket(ws))
			}
		}
		srv := &http.Server{
			ReadHeaderTimeout: legacy.GreetTime, IdleTimeout: legacy.GreetTime, Handler: http.HandlerFunc(handler),
		}
		return l, func() error {
			defer srv.Close() // connections that are not WebSockets yet
			return srv.Serve(l)
		}, nil
	case SSL:
		cert, err := certificate()
		if err != nil {
			l.Close()
			return nil, nil, err
		}
		config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		// The TLS handshake is part of the first read, so that a node that does not finish it counts as silent.
		return l, func() error { return serve(l, func(c net.Conn) { accept(stream{tls.Server(c, config)}) }) }, nil
	}
	return l, func() error { return serve(l, func(c net.Conn) { accept(stream{c}) }) }, nil
}

func serve(l net.Listener, accept func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		accept(c)
	}
}

// certificate makes a new certificate for each node, since no node checks it. Old nodes accept RSA only.
func certificate() (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "go2p"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
