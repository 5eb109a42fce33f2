package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
)

// helloOpen is the first message, from the peer that opened the stream.
type helloOpen struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Explicit bool // a user asked for this hello: the other end logs a refusal
	From     helloInfo
}

// helloAnswer is the second message.
type helloAnswer struct {
	_    struct{} `cbor:",toarray"`
	From helloInfo
	Tags []netkey.HelloTag
}

// helloProof is the third message.
type helloProof struct {
	_    struct{} `cbor:",toarray"`
	Tags []netkey.HelloTag
}

// A helloInfo is what each side says of itself.
type helloInfo struct {
	_     struct{} `cbor:",toarray"`
	Nonce netkey.Nonce
	Clock int64  // Unix milliseconds, for display
	Run   uint64 // another one after a restart
	Gen   uint64 // raised when the peer joins or leaves a network
}

// helloResult is the outcome of a hello, the same at both ends but for whose side
// it is seen from.
type helloResult struct {
	local, remote helloInfo
	explicit      bool
	skew          time.Duration // their clock less ours
	common        map[*Mesh]bool
	conn          network.Conn
}

// stranger tells whether the two have no network in common at all.
func (g *helloResult) stranger() bool {
	for _, common := range g.common {
		if common {
			return false
		}
	}
	return true
}

var helloDecoder = dcbor.Decoder(maxTags, 4)

// sayHello opens a hello with p, which must be connected.
func (h *hostmux) sayHello(ctx context.Context, p peer.ID, explicit bool) (*helloResult, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "hello"), "go2p")
	s, err := h.host.NewStream(ctx, p, HelloProtocol)
	if err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	g, err := h.open(s, p, explicit)
	if err != nil {
		s.Reset()
		return nil, fmt.Errorf("hello: %w", errors.Join(ctx.Err(), err))
	}
	s.Close()
	return g, nil
}

func (h *hostmux) open(s network.Stream, p peer.ID, explicit bool) (*helloResult, error) {
	r := frame.NewReader(s, maxHello)
	mine, nets := h.helloInfo(p)
	if err := sendHello(s, helloOpen{Version: helloVersion, Explicit: explicit, From: mine}); err != nil {
		return nil, err
	}
	var answer helloAnswer
	if err := readHello(r, &answer); err != nil {
		return nil, err
	}
	tags := func(r netkey.Role) func(*Mesh) netkey.HelloTag {
		return func(m *Mesh) netkey.HelloTag {
			return m.secret.HelloTag(r, string(h.host.ID()), string(p), mine.Nonce, answer.From.Nonce)
		}
	}
	if err := sendHello(s, helloProof{Tags: padded(nets, tags(netkey.Opener))}); err != nil {
		return nil, err
	}
	// The other end closes when it has let us in: from here on it waits for us.
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		return nil, errors.New("more than a hello")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return newHelloResult(s, mine, answer.From, explicit, nets, answer.Tags, tags(netkey.Answerer)), nil
}

// answer is the other side of open. It calls settle before it closes the
// stream, so that an opener that saw the end of it is let in at once.
func (h *hostmux) answer(s network.Stream, p peer.ID, settle func(*helloResult)) error {
	r := frame.NewReader(s, maxHello)
	var opened helloOpen
	if err := readHello(r, &opened); err != nil {
		return err
	}
	if opened.Version != helloVersion {
		return fmt.Errorf("version %d of the hello, this peer speaks %d", opened.Version, helloVersion)
	}
	if opened.Explicit {
		for _, m := range h.networks() {
			m.liftDisconnect(p)
		}
	}
	mine, nets := h.helloInfo(p)
	tags := func(r netkey.Role) func(*Mesh) netkey.HelloTag {
		return func(m *Mesh) netkey.HelloTag {
			return m.secret.HelloTag(r, string(p), string(h.host.ID()), opened.From.Nonce, mine.Nonce)
		}
	}
	if err := sendHello(s, helloAnswer{From: mine, Tags: padded(nets, tags(netkey.Answerer))}); err != nil {
		return err
	}
	var proof helloProof
	if err := readHello(r, &proof); err != nil {
		return err
	}
	settle(newHelloResult(s, mine, opened.From, opened.Explicit, nets, proof.Tags, tags(netkey.Opener)))
	return nil
}

// newHelloResult compares the other side's tags with those that it would send if
// it knew each of our networks.
func newHelloResult(s network.Stream, mine, theirs helloInfo, explicit bool, nets []*Mesh, got []netkey.HelloTag, want func(*Mesh) netkey.HelloTag) *helloResult {
	has := make(map[netkey.HelloTag]bool, len(got))
	for _, t := range got {
		has[t] = true
	}
	g := &helloResult{local: mine, remote: theirs, explicit: explicit, conn: s.Conn(), common: map[*Mesh]bool{}}
	g.skew = time.Duration(theirs.Clock-mine.Clock) * time.Millisecond
	for _, m := range nets {
		g.common[m] = has[want(m)]
	}
	return g
}

// padded returns the tags of nets among random ones in random order, so that
// neither which nor how many networks there are can be read from them.
func padded(nets []*Mesh, tag func(*Mesh) netkey.HelloTag) []netkey.HelloTag {
	tags := make([]netkey.HelloTag, (len(nets)/padTags+1)*padTags)
	for i := range tags {
		if i < len(nets) {
			tags[i] = tag(nets[i])
		} else {
			rand.Read(tags[i][:])
		}
	}
	mathrand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	return tags
}

func sendHello(s network.Stream, msg any) error {
	body, err := dcbor.Marshal(msg)
	if err != nil {
		return err
	}
	return frame.Write(s, body)
}

func readHello(r *frame.Reader, msg any) error {
	body, err := r.Next()
	if err != nil {
		return err
	}
	return helloDecoder.Unmarshal(body, msg)
}
