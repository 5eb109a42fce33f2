package mesh

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A Service is what a service that stands on a mesh needs of it, as the packages sync and
// chord do: streams, topics and signatures of its own. Only members take part in them,
// and they are worth nothing in another network. Its methods may be called concurrently.
type Service struct {
	mesh *Mesh
	name string
}

// Service returns what a service of a name needs of the mesh. The name stands in the
// errors that the service reports.
func (m *Mesh) Service(name string) *Service { return &Service{mesh: m, name: name} }

// SetStreamHandler has f handle the streams that members open with NewStream and a
// protocol, which must be of the form /go2p/NAME/VERSION; nil ends that. Mesh.Close
// resets the streams and waits for the handlers.
func (s *Service) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	s.mesh.handlers.set(id, f)
}

// Reach makes a member a neighbour, wherever it is, as Mesh.Whisper does. Errors: those
// of Mesh.Connect.
func (s *Service) Reach(ctx context.Context, p peer.ID) error {
	if err := s.mesh.finder.reach(ctx, p); err != nil {
		return fmt.Errorf("mesh: reach %s: %w", p, err)
	}
	return nil
}

// NewStream opens a stream of the service to a neighbour, over any connection, also a
// relayed one. It is reset when the peer is no neighbour any more.
func (s *Service) NewStream(ctx context.Context, p peer.ID, id protocol.ID) (network.Stream, error) {
	stream, err := s.mesh.members.newStream(ctx, p, id)
	if err != nil {
		return nil, fmt.Errorf("mesh: stream to %s: %w", p, err)
	}
	return stream, nil
}

// Sign signs with this peer's key, for one purpose and for this network alone.
func (s *Service) Sign(purpose string, body []byte) ([]byte, error) {
	return s.mesh.sign(purpose, body)
}

// Verify reports whether a peer has signed something for a purpose in this network.
func (s *Service) Verify(author peer.ID, purpose string, body, sig []byte) bool {
	return s.mesh.verify(author, purpose, body, sig)
}

// ReportMisbehaviour says that a neighbour has sent what no honest peer sends. The tenth
// report within a minute, from all services, bans the neighbour for ten minutes.
func (s *Service) ReportMisbehaviour(p peer.ID, err error) {
	s.mesh.bans.badFrame(p, fmt.Errorf("%s: %w", s.name, err))
}

// Observe has a function see each broadcast once: those that arrive, before a handler
// takes them, and those of this peer. It must not wait. The returned function ends that.
func (s *Service) Observe(f func(Message)) (end func()) { return s.mesh.dispatcher.observe(f) }

// JoinTopic joins a topic. What neighbours send is given to validate, about in the order
// of its arrival, from as many goroutines as there are cores; what comes meanwhile, also
// of other topics, waits. Joined is called for each neighbour that takes part from now on.
func (s *Service) JoinTopic(name string, validate func(from peer.ID, data []byte) Verdict, joined func(peer.ID)) (*Topic, error) {
	t, err := s.mesh.gossip.join(name, validate, func(p peer.ID, is bool) {
		if is {
			joined(p)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("mesh: topic %q: %w", name, err)
	}
	return t, nil
}
