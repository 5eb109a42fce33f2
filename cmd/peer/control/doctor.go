package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/mesh"
)

const (
	probeTimeout = 5 * time.Second
	clockLimit   = 10 * time.Second // a difference that is reported with a hint
)

// A doctor examines the peer.
type doctor struct {
	host host.Host
	mesh *mesh.Mesh
	mdns bool
}

func (s *doctor) add(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathDoctor, stream(s.examine))
}

// examine examines the peer, and with a target the way to another one.
func (s *doctor) examine(w http.ResponseWriter, r *http.Request, q DoctorRequest) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
	defer cancel()
	l := newLines(w)
	report := func(st Step) bool { return l.write(st, false) && st.OK }
	for _, examine := range []func() Step{s.listeners, s.reachability, s.discovery, s.neighbours} {
		report(examine())
	}
	if q.Target == "" {
		return
	}
	to, st := s.locate(ctx, q.Target)
	if !report(st) {
		return
	}
	reached := false
	for _, addr := range to.Addrs {
		if report(s.dial(ctx, to.ID, addr)) {
			reached = true
		}
	}
	if !report(reachedStep(reached)) {
		return
	}
	if report(s.hello(ctx, to)) {
		report(s.clock(to.ID))
	}
}

func (s *doctor) listeners() Step {
	addrs := s.host.Network().ListenAddresses()
	if len(addrs) == 0 {
		return Step{"listeners", false, "this peer listens on no address: it can connect to others, they cannot connect to it",
			"start `peer up` without --listen, or with addresses of this machine", CodeFailed}
	}
	return Step{Step: "listeners", OK: true, Says: fmt.Sprintf("listens on %d addresses, such as %s", len(addrs), addrs[0])}
}

func (s *doctor) reachability() Step {
	found := network.ReachabilityUnknown
	if sub, err := s.host.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged)); err == nil {
		defer sub.Close()
		select {
		case ev := <-sub.Out(): // the last one, if there was any
			found = ev.(event.EvtLocalReachabilityChanged).Reachability
		default:
		}
	}
	st := Step{Step: "reachability", OK: true}
	switch found {
	case network.ReachabilityPublic:
		st.Says = "can be reached from outside"
	case network.ReachabilityPrivate:
		st.Says = "cannot be reached from outside, behind a NAT or firewall; peers on the same network can reach it"
		st.Hint = "others need a --relay peer that both can reach, named with --via here"
	default:
		st.Says = "nobody has told yet whether it can be reached from outside; on a local network that is usual"
	}
	return st
}

func (s *doctor) discovery() Step {
	if s.mdns {
		return Step{Step: "discovery", OK: true, Says: "looks for peers on the local network, by multicast on UDP port 5353"}
	}
	return Step{Step: "discovery", OK: true, Says: "does not look for peers on the local network (--no-mdns)"}
}

func (s *doctor) neighbours() Step {
	st := s.mesh.Status()
	if st.Neighbours == 0 {
		return Step{"neighbours", false, fmt.Sprintf("nobody is connected in the network %q; %d peers are dialled again and again", st.Network, st.Redialling),
			"name a peer: `peer doctor ADDR` examines the way to it", CodeNoNeighbours}
	}
	return Step{Step: "neighbours", OK: true, Says: fmt.Sprintf("%d in the network %q", st.Neighbours, st.Network)}
}

// locate finds the addresses of a target.
func (s *doctor) locate(ctx context.Context, target string) (peer.AddrInfo, Step) {
	if info, err := peer.AddrInfoFromString(target); err == nil {
		return *info, Step{Step: "address", OK: true, Says: "given"}
	}
	id, err := peer.Decode(target)
	if err != nil {
		return peer.AddrInfo{}, Step{"address", false, fmt.Sprintf("%q is neither a peer ID nor an address that ends in one", target),
			"`peer up` prints a peer's addresses, `peer id` its ID", CodeBadRequest}
	}
	info := s.host.Peerstore().PeerInfo(id)
	if listed, err := s.mesh.RequestPeers(ctx); err == nil {
		for _, l := range listed {
			if l.ID == id {
				info.Addrs = ma.Unique(append(info.Addrs, l.Addrs...))
			}
		}
	}
	if len(info.Addrs) == 0 {
		return info, Step{"address", false, "no address of it is known, here or to a neighbour",
			"give one: `peer status` at the other peer prints them", CodeUnreachable}
	}
	return info, Step{Step: "address", OK: true, Says: fmt.Sprintf("%d are known", len(info.Addrs))}
}

// dial tries one address with a host of its own, so that an existing connection does not hide the state of the address.
func (s *doctor) dial(ctx context.Context, id peer.ID, addr ma.Multiaddr) Step {
	st := Step{Step: "dial", Says: addr.String() + ": "}
	probe, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.UserAgent("go2p doctor"))
	if err != nil {
		st.Says += err.Error()
		return st
	}
	defer probe.Close()
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "go2p"), probeTimeout)
	defer cancel()
	start := time.Now()
	err = probe.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}})
	if err == nil {
		c := probe.Network().ConnsToPeer(id)[0].ConnState()
		st.OK = true
		st.Says += fmt.Sprintf("connected in %v, %s", time.Since(start).Round(time.Millisecond), secured(c))
		return st
	}
	st.Code = CodeUnreachable
	says, hint := diagnose(err)
	st.Says, st.Hint = st.Says+says, hint
	return st
}

func secured(c network.ConnectionState) string {
	if c.Security == "" {
		return "secured by " + c.Transport
	}
	return "secured by " + string(c.Security) + " over " + c.Transport
}

// diagnose returns why a dial failed, and what to do.
func diagnose(err error) (says, hint string) {
	text := err.Error()
	if mismatch, ok := errors.AsType[sec.ErrPeerIDMismatch](err); ok {
		return fmt.Sprintf("somebody else answers, %s", mismatch.Actual), "the address is another peer's by now: ask for the new one"
	}
	switch {
	case strings.Contains(text, "refused"):
		return "nothing listens there", "see that the other peer is up, and its port in `peer status`"
	case strings.Contains(text, "unreachable") || strings.Contains(text, "no route"):
		return "there is no route to that machine", "compare the networks of both machines"
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "timeout") || strings.Contains(text, "deadline"):
		return "no answer", "a firewall on the way, or a machine that is off: open TCP and UDP of the port there"
	}
	return text, ""
}

func reachedStep(reached bool) Step {
	if reached {
		return Step{Step: "secure channel", OK: true, Says: "the other peer has proven its ID"}
	}
	return Step{"secure channel", false, "none of the addresses leads to the peer", "see the hints above", CodeUnreachable}
}

func (s *doctor) hello(ctx context.Context, to peer.AddrInfo) Step {
	err := s.mesh.Connect(ctx, to)
	if err == nil {
		return Step{Step: StepHello, OK: true, Says: "both are in the network " + s.mesh.Network()}
	}
	e := toError(err)
	st := Step{Step: StepHello, Says: e.Text, Code: e.Code}
	if errors.Is(err, mesh.ErrNoCommonNetwork) {
		st.Says = "the peers have no network in common: another network, or another key; the other peer's log says the same"
	}
	return st
}

func (s *doctor) clock(id peer.ID) Step {
	for _, p := range s.mesh.Peers() {
		if p.ID != id {
			continue
		}
		st := Step{Step: "clocks", OK: true, Says: fmt.Sprintf("%v apart", p.Skew.Abs().Round(time.Millisecond))}
		if p.Skew.Abs() > clockLimit {
			st.Hint = "messages show their author's time; set the clocks if that matters. Nothing else depends on it"
		}
		return st
	}
	return Step{Step: "clocks", Says: "the other peer has left meanwhile", Code: CodeUnreachable}
}
