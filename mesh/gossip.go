package mesh

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A gossip is the gossipsub router of one network. It runs on the members alone, and ends
// with the mesh. It has no state of its own.
type gossip struct {
	*local
	members *membership
	router  *pubsub.PubSub
}

// contentID names a pubsub message by its topic and all its bytes.
func contentID(msg *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(msg.GetTopic()))
	h.Write([]byte{0})
	h.Write(msg.GetData())
	return string(h.Sum(nil)[:16])
}

// gossipParams are the defaults with a heartbeat five times as fast: with it a new
// neighbour is grafted, and a broadcast is passed on only to those that are. What
// is counted in heartbeats keeps its time, but for how long an ID is gossiped.
func gossipParams() pubsub.GossipSubParams {
	const faster = 5
	p := pubsub.DefaultGossipSubParams()
	p.HeartbeatInterval /= faster
	p.SlowHeartbeatWarning *= faster
	p.HistoryLength *= faster
	p.IDontWantMessageTTL *= faster
	p.OpportunisticGraftTicks *= faster
	return p
}

// startGossip runs a gossipsub router on the members of a network.
func startGossip(host *memberHost) (*gossip, error) {
	l := host.members.local
	wire := onWire(gossipProtocol, l.tag)
	router, err := pubsub.NewGossipSub(l.ctx(), host,
		pubsub.WithGossipSubProtocols([]protocol.ID{wire}, func(f pubsub.GossipSubFeature, _ protocol.ID) bool {
			return pubsub.GossipSubDefaultFeatures(f, pubsub.GossipSubID_v12)
		}),
		pubsub.WithGossipSubParams(gossipParams()),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(contentID),
		pubsub.WithFloodPublish(true), // a neighbour that is not grafted yet hears us, too
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithMaxMessageSize(MaxTopicMessage+envelopeRoom),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithLogger(l.log),
		pubsub.WithRPCLogger(slog.New(slog.DiscardHandler)), // a line an RPC
	)
	return &gossip{local: l, members: host.members, router: router}, err
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
	gossip *gossip
	name   string
	topic  *pubsub.Topic
	end    context.CancelFunc
}

// MaxTopicMessage is the most bytes that may be published on a topic at once.
const MaxTopicMessage = MaxMessage + envelopeRoom

// join joins a topic. Changed is called when a neighbour joins or leaves it.
func (g *gossip) join(name string, validate func(from peer.ID, data []byte) Verdict, changed func(p peer.ID, joined bool)) (*Topic, error) {
	t := &Topic{gossip: g, name: "/go2p/" + g.tag + "/" + name}
	err := g.router.RegisterTopicValidator(t.name, g.validator(validate), pubsub.WithValidatorInline(true))
	if err != nil {
		return nil, err
	}
	if t.topic, err = g.router.Join(t.name); err != nil {
		return nil, err
	}
	// A relay takes part in a topic as a subscription does, but without a
	// queue of pubsub's, which drops what it has no room for: the validator passes
	// everything on itself.
	leave, err := t.topic.Relay()
	if err != nil {
		return nil, err
	}
	events, err := t.topic.EventHandler()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(g.ctx())
	ended := make(chan struct{})
	t.end = func() { cancel(); <-ended; leave() }
	watched := g.group.Go(func() {
		defer close(ended)
		defer events.Cancel()
		for {
			ev, err := events.NextPeerEvent(ctx)
			if err != nil {
				return
			}
			changed(ev.Peer, ev.Type == pubsub.PeerJoin)
		}
	})
	if !watched { // the mesh ends
		events.Cancel()
		close(ended)
	}
	return t, nil
}

// validator has validate look at what neighbours send.
func (g *gossip) validator(validate func(from peer.ID, data []byte) Verdict) pubsub.ValidatorEx {
	return func(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
		if from == g.id {
			return pubsub.ValidationAccept
		}
		g.members.hear(from)
		switch validate(from, msg.GetData()) {
		case Pass:
			return pubsub.ValidationAccept
		case Reject:
			return pubsub.ValidationReject
		}
		return pubsub.ValidationIgnore
	}
}

// Publish sends something to the members that have joined the topic. Errors: ErrTooLarge,
// or the context's.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) > MaxTopicMessage {
		return fmt.Errorf("mesh: publish: %w", ErrTooLarge)
	}
	return t.topic.Publish(ctx, data)
}

// Close leaves the topic.
func (t *Topic) Close() {
	t.end()
	t.gossip.router.UnregisterTopicValidator(t.name)
	t.topic.Close()
}
