package mesh

import (
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// All messages are frames (a varint length, then the body) of CBOR in core
// deterministic form; structs are arrays. docs/protocol.md has the layouts.
//
//	hello     A→B helloOpen, B→A helloAnswer, A→B helloProof, B closes
//	link      one stream in each direction; linkMessage each
//	whisper   A→B whisper, B→A whisperAck for each, any number in flight
//	meshsub   gossipsub 1.2; the data of a message is a batch
//
// Only the hello and the name of the link are spoken outside of a network. On the
// wire every other protocol has the tag of its network in it: link and whisper of
// the network 0123456789abcdef are /go2p/0123456789abcdef/mesh/1.0.0 and
// /go2p/0123456789abcdef/whisper/1.0.0.
const (
	HelloProtocol   protocol.ID = "/go2p/hello/1.0.0"
	ControlProtocol protocol.ID = "/go2p/mesh/1.0.0"
	WhisperProtocol protocol.ID = "/go2p/whisper/1.0.0"

	gossipProtocol protocol.ID = "/go2p/meshsub/1.2.0"
)

// helloVersion is the version that helloOpen states.
const helloVersion = 1

// MaxMessage is the most bytes that the packets of one message may have in CBOR.
const MaxMessage = 1 << 20

const (
	envelopeRoom = 64 << 10                    // what an RPC of pubsub may be larger than its message
	maxWhisper   = MaxMessage + 1<<10          // a whisper's frame
	maxHello     = 4 << 10                     // a hello's frame
	maxTags      = 128                         // tags in a hello
	padTags      = 8                           // a hello's tags are padded to a multiple of this
	maxNetworks  = maxTags / 2                 // networks on one host
	maxControl   = MaxMessage + 2*envelopeRoom // a link message's frame
	maxListed    = 64                          // peers in one list
	maxAddrs     = 16                          // addresses of one peer in a list
	maxAddrBytes = 32 << 10                    // all addresses in a list
	seenTTL      = 120 * time.Second           // how long pubsub remembers a message's hash
	idleStream   = 10 * time.Minute            // a whisper stream without whispers is closed
	helloTimeout = 10 * time.Second            // a whole hello
	dialTimeout  = 10 * time.Second            // one dial of ours, in the background
	writeTimeout = 10 * time.Second            // one write to a member
	slowControl  = 64 << 10                    // bytes a second that a long write to a member must make at least
	listTimeout  = 5 * time.Second             // one neighbour's answer with its peers
	gossipQueue  = 256                         // RPCs in each of pubsub's queues; longer ones, up to 4096, lost no less under load
	settle       = time.Second                 // how long a broadcast waits for new members to subscribe
	banTime      = 10 * time.Minute            // how long a ban lasts
	maxWaiting   = 8                           // streams of one peer that wait for its hello
	maxInbound   = 4                           // whisper streams of one member
	maxHellos    = 4                           // hellos of one peer at a time
)

// onWire is a protocol's id on the wire of the network with the given tag.
func onWire(id protocol.ID, tag string) protocol.ID {
	return "/go2p/" + protocol.ID(tag) + id[len("/go2p"):]
}

// offWire is the inverse of onWire.
func offWire(wire protocol.ID) (id protocol.ID, tag string, ok bool) {
	rest, ok := strings.CutPrefix(string(wire), "/go2p/")
	tag, rest, cut := strings.Cut(rest, "/")
	return protocol.ID("/go2p/" + rest), tag, ok && cut
}
