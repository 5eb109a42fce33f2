package control

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge"
)

// bridgeRoutes answer for the links with old networks.
type bridgeRoutes struct{ bridge *bridge.Bridge }

func (s *bridgeRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathBridge, s.links)
	mux.HandleFunc("POST "+PathBridgeAdd, answer(s.addLink))
	mux.HandleFunc("POST "+PathBridgeRemove, answer(s.removeLink))
}

func (s *bridgeRoutes) links(w http.ResponseWriter, _ *http.Request) {
	l := newLines(w)
	for _, status := range s.bridge.Links() {
		if !l.write(toLink(status), false) {
			return
		}
	}
}

func (s *bridgeRoutes) addLink(ctx context.Context, q LinkRequest) (Link, error) {
	name, opts, addrs, err := compat.ParseURL(q.URL)
	if err != nil {
		return Link{}, badRequest(err)
	}
	status, err := s.bridge.Add(ctx, name, opts, addrs...)
	return toLink(status), err
}

func (s *bridgeRoutes) removeLink(_ context.Context, q LinkRequest) (OK, error) {
	return OK{true}, s.bridge.Remove(q.Name)
}

func toLink(s bridge.LinkStatus) Link {
	l := Link{
		Name: s.Name, Kind: string(s.Options.Kind), Version: s.Options.Version, Subnet: s.Options.Subnet,
		Transport: strings.ToLower(string(s.Options.Transport)), ID: s.ID, Addr: s.Addr, Elected: s.Elected, Authors: s.Authors,
		In: s.In, Out: s.Out, Peers: []OldPeer{}, Dropped: map[string]uint64{}, Refused: []Refusal{},
	}
	for _, p := range s.Peers {
		l.Peers = append(l.Peers, OldPeer{p.ID, p.Addr, p.Remote, p.Language, p.Outgoing, p.Since})
	}
	for _, why := range slices.Sorted(maps.Keys(s.Dropped)) {
		l.Dropped[why.String()] = s.Dropped[why]
	}
	for _, r := range s.Refused {
		l.Refused = append(l.Refused, Refusal{r.Time, r.Remote, r.Err.Error()})
	}
	return l
}

// connected returns the number of old nodes that are connected.
func (s *bridgeRoutes) connected() int {
	n := 0
	for _, l := range s.bridge.Links() {
		n += len(l.Peers)
	}
	return n
}

// whisper sends a message to an old node.
func (s *bridgeRoutes) whisper(ctx context.Context, to string, packets []any) error {
	return s.bridge.Whisper(ctx, to, packets...)
}

// isOld reports whether name is the name of an old node.
func isOld(name string) bool { return strings.HasPrefix(name, compat.OriginPrefix) }
