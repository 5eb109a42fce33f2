package control

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/mesh"
)

// The paths of the bridge.
const (
	PathBridge       = "/v1/bridge"
	PathBridgeAdd    = "/v1/bridge/add"
	PathBridgeRemove = "/v1/bridge/remove"
)

// A LinkRequest names a link, by its URL to add it and by its name to remove it.
type LinkRequest struct {
	URL  string `json:"url,omitempty"`
	Name string `json:"name,omitempty"`
}

// A Link is how a bridge stands in an old network.
type Link struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Version   string            `json:"version"`
	Subnet    string            `json:"subnet"`
	Transport string            `json:"transport"`
	ID        string            `json:"id"`
	Addr      string            `json:"addr,omitempty"` // where it listens
	Elected   bool              `json:"elected"`        // it does what one of several bridges has to do
	Peers     []OldPeer         `json:"peers"`
	Authors   int               `json:"authors"` // native ones that old nodes can reply to
	In        uint64            `json:"in"`
	Out       uint64            `json:"out"`
	Dropped   map[string]uint64 `json:"dropped"` // by reason
	Refused   []Refusal         `json:"refused"` // the last 16
}

// An OldPeer is an old node that a link is connected with.
type OldPeer struct {
	ID       string    `json:"id"`
	Addr     string    `json:"addr,omitempty"`
	Remote   string    `json:"remote"`
	Language string    `json:"language,omitempty"`
	Outgoing bool      `json:"outgoing"`
	Since    time.Time `json:"since"`
}

// A Refusal is somebody who was not let in, or has not let this peer in, and why.
type Refusal struct {
	Time   time.Time `json:"time"`
	Remote string    `json:"remote"`
	Why    string    `json:"why"`
}

func (s *Server) routeBridge(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathBridge, s.links)
	mux.HandleFunc("POST "+PathBridgeAdd, answer(s.addLink))
	mux.HandleFunc("POST "+PathBridgeRemove, answer(s.removeLink))
}

func (s *Server) links(w http.ResponseWriter, _ *http.Request) {
	l := newLines(w)
	for _, status := range s.bridge.Links() {
		if !l.write(toLink(status), false) {
			return
		}
	}
}

func (s *Server) addLink(ctx context.Context, q LinkRequest) (Link, error) {
	name, opts, addrs, err := compat.ParseURL(q.URL)
	if err != nil {
		return Link{}, badRequest(err)
	}
	status, err := s.bridge.Add(ctx, name, opts, addrs...)
	return toLink(status), err
}

func (s *Server) removeLink(_ context.Context, q LinkRequest) (OK, error) {
	return OK{true}, s.bridge.Remove(q.Name)
}

func toLink(s compat.LinkStatus) Link {
	l := Link{
		Name: s.Name, Kind: string(s.Options.Kind), Version: s.Options.Version, Subnet: s.Options.Subnet,
		Transport: strings.ToLower(string(s.Options.Transport)), ID: s.ID, Addr: s.Addr, Elected: s.Elected, Authors: s.Authors,
		In: s.In, Out: s.Out, Peers: []OldPeer{}, Dropped: map[string]uint64{}, Refused: []Refusal{},
	}
	for _, p := range s.Peers {
		l.Peers = append(l.Peers, OldPeer{p.ID, p.Addr, p.Remote, p.Language, p.Outgoing, p.Since})
	}
	for _, why := range slices.Sorted(maps.Keys(s.Dropped)) {
		l.Dropped[string(why)] = s.Dropped[why]
	}
	for _, r := range s.Refused {
		l.Refused = append(l.Refused, Refusal{r.Time, r.Remote, r.Err.Error()})
	}
	return l
}

// toOld whispers to an old node.
func (s *Server) toOld(ctx context.Context, to string, o Outgoing) error {
	packets, err := o.packets()
	if err != nil {
		return err
	}
	return s.bridge.Whisper(ctx, to, packets...)
}

// isOld tells whether something is the name of an old node.
func isOld(name string) bool { return strings.HasPrefix(name, compat.OriginPrefix) }

// from is who has sent a message.
func from(m mesh.Message) (author, via string) {
	if m.Origin != "" {
		return m.Origin, m.From.String()
	}
	return m.From.String(), ""
}

// bridgeError gives an error of the bridge its exit code and hint.
func bridgeError(e *Error, err error) {
	switch {
	case errors.Is(err, compat.ErrNoLink):
		e.Exit, e.Hint = ExitMissing, "`peer bridge ls` lists them"
	case errors.Is(err, compat.ErrLinkName):
		e.Hint = "give it another with name= in the URL"
	case errors.Is(err, compat.ErrNoBridge):
		e.Exit, e.Hint = ExitTimeout, "`peer bridge add URL` makes this peer one"
	}
}
