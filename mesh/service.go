package mesh

import (
	"context"
	"fmt"
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
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
	s.mesh.setHandler(id, f)
}

// Reach makes a member a neighbour, wherever it is, as Mesh.Whisper does. Errors: those
// of Mesh.Connect.
func (s *Service) Reach(ctx context.Context, p peer.ID) error {
	if err := s.mesh.reach(ctx, p); err != nil {
		return fmt.Errorf("mesh: reach %s: %w", p, err)
	}
	return nil
}

// NewStream opens a stream of the service to a neighbour, over any connection, also a
// relayed one. It is reset when the peer is no neighbour any more.
func (s *Service) NewStream(ctx context.Context, p peer.ID, id protocol.ID) (network.Stream, error) {
	stream, err := s.mesh.newStream(ctx, p, id)
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
	return s.mesh.verifySigned(author, purpose, body, sig)
}

// ReportMisbehaviour says that a neighbour has sent what no honest peer sends. The tenth
// report within a minute, from all services, bans the neighbour for ten minutes.
func (s *Service) ReportMisbehaviour(p peer.ID, err error) {
	s.mesh.badFrame(p, fmt.Errorf("%s: %w", s.name, err))
}

// Observe has a function see each broadcast once: those that arrive, before a handler
// takes them, and those of this peer. It must not wait. The returned function ends that.
func (s *Service) Observe(f func(Message)) (end func()) { return s.mesh.observe(f) }

func (m *Mesh) sign(purpose string, body []byte) ([]byte, error) {
	return m.signer.Sign(m.signed(purpose, body))
}

func (m *Mesh) verifySigned(author peer.ID, purpose string, body, sig []byte) bool {
	key, err := author.ExtractPublicKey()
	if err != nil {
		return false
	}
	ok, err := key.Verify(m.signed(purpose, body), sig)
	return ok && err == nil
}

func (m *Mesh) signed(purpose string, body []byte) []byte {
	return slices.Concat([]byte(purpose), m.secret.Derive(purpose), body)
}

// A Verdict is what the validate function of a topic says of a message.
type Verdict int

// The verdicts.
const (
	Pass   Verdict = iota // to the other neighbours
	Ignore                // it goes no further
	Reject                // nor should it have been sent: the service reports the sender
)

// A Topic carries bytes to all members that have joined it, most of the time: what is
// lost on the way is not repeated, and members behind a relay get nothing.
type Topic struct {
	mesh  *Mesh
	name  string
	topic *pubsub.Topic
	end   context.CancelFunc
}

// MaxTopicMessage is the most bytes that may be published on a topic at once.
const MaxTopicMessage = MaxMessage + envelopeRoom

// JoinTopic joins a topic. What neighbours send is given to validate, about in the order
// of its arrival, from as many goroutines as there are cores; what comes meanwhile, also
// of other topics, waits. Joined is called for each neighbour that takes part from now on.
func (s *Service) JoinTopic(name string, validate func(from peer.ID, data []byte) Verdict, joined func(peer.ID)) (*Topic, error) {
	m := s.mesh
	t := &Topic{mesh: m, name: "/go2p/" + m.tag + "/" + name}
	err := m.gossip.RegisterTopicValidator(t.name, func(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
		if from == m.id {
			return pubsub.ValidationAccept
		}
		if mb := m.member(from); mb != nil {
			mb.hear()
		}
		switch validate(from, msg.GetData()) {
		case Pass:
			return pubsub.ValidationAccept
		case Reject:
			return pubsub.ValidationReject
		}
		return pubsub.ValidationIgnore
	}, pubsub.WithValidatorInline(true))
	if err != nil {
		return nil, fmt.Errorf("mesh: topic %q: %w", name, err)
	}
	if t.topic, err = m.gossip.Join(t.name); err != nil {
		return nil, fmt.Errorf("mesh: topic %q: %w", name, err)
	}
	events, err := t.topic.EventHandler()
	if err != nil {
		return nil, fmt.Errorf("mesh: topic %q: %w", name, err)
	}
	leave, err := t.topic.Relay() // as the mesh's own topic does
	if err != nil {
		return nil, fmt.Errorf("mesh: topic %q: %w", name, err)
	}
	ctx, cancel := context.WithCancel(m.ctx)
	ended := make(chan struct{})
	t.end = func() { cancel(); <-ended; leave() }
	m.wg.Go(func() {
		defer close(ended)
		defer events.Cancel()
		for {
			ev, err := events.NextPeerEvent(ctx)
			if err != nil {
				return
			}
			if ev.Type == pubsub.PeerJoin {
				joined(ev.Peer)
			}
		}
	})
	return t, nil
}

// Publish sends something to the members that have joined the topic.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) > MaxTopicMessage {
		return fmt.Errorf("mesh: publish: %w", ErrTooLarge)
	}
	return t.topic.Publish(ctx, data)
}

// Close leaves the topic.
func (t *Topic) Close() {
	t.end()
	t.mesh.gossip.UnregisterTopicValidator(t.name)
	t.topic.Close()
}
