package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/file"
)

// DefaultPort is the TCP and UDP port that a host listens on, unless it is in use.
const DefaultPort = 44565

// portFile is the file with the port in a data directory. A host keeps its port, so that
// the addresses that other peers know stay valid.
const portFile = "port"

// listenAddrs returns addresses for all transports on one port: the remembered port, or the
// default one, or any free one.
func listenAddrs(dir string) ([]ma.Multiaddr, error) {
	want, err := rememberedPort(dir)
	if err != nil {
		return nil, err
	}
	port := want
	if !portFree(port) {
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if dir != "" {
		if err := file.Replace(filepath.Join(dir, portFile), fmt.Appendln(nil, port)); err != nil {
			return nil, err
		}
	}
	var addrs []ma.Multiaddr
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		for _, form := range []string{"/udp/%d/quic-v1", "/udp/%d/quic-v1/webtransport", "/tcp/%d", "/tcp/%d/ws"} {
			addrs = append(addrs, ma.StringCast(ip+fmt.Sprintf(form, port)))
		}
	}
	return addrs, nil
}

func rememberedPort(dir string) (int, error) {
	name := filepath.Join(dir, portFile)
	data, err := os.ReadFile(name)
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return DefaultPort, nil
	}
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is damaged: it should be a port number; it may be removed", name)
	}
	return int(port), nil
}

// portFree reports whether no process listens on a port. libp2p would share the port with
// another process, and each would get some of the other's connections.
func portFree(port int) bool {
	addr := fmt.Sprintf(":%d", port)
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if portFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("no port is free with both TCP and UDP")
}
