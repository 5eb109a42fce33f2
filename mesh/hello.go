package mesh

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

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

// A helloResult is the outcome of a hello, the same at both ends but for the side that it
// is seen from.
type helloResult struct {
	local, remote helloInfo
	explicit      bool
	skew          time.Duration // the remote clock less the local one
	common        []bool        // for each of the local networks: the remote peer is in it
	conn          network.Conn
}

// noneCommon reports whether the two peers have no network in common.
func (r *helloResult) noneCommon() bool { return !slices.Contains(r.common, true) }

var helloDecoder = dcbor.Decoder(maxTags, 4)

// openHello says hello on a stream that this peer has opened. The secrets are those of the
// networks that the hello is about.
func openHello(s network.Stream, explicit bool, info helloInfo, secrets []netkey.Secret) (*helloResult, error) {
	r := frame.NewReader(s, maxHello)
	if err := sendHello(s, helloOpen{Version: helloVersion, Explicit: explicit, From: info}); err != nil {
		return nil, err
	}
	var answer helloAnswer
	if err := readHello(r, &answer); err != nil {
		return nil, err
	}
	a, b := string(s.Conn().LocalPeer()), string(s.Conn().RemotePeer())
	tags := func(r netkey.Role) []netkey.HelloTag {
		return helloTags(secrets, r, a, b, info.Nonce, answer.From.Nonce)
	}
	if err := sendHello(s, helloProof{Tags: padded(tags(netkey.Opener))}); err != nil {
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
	return newHelloResult(s, info, answer.From, explicit, tags(netkey.Answerer), answer.Tags), nil
}

// answerHello is the other side of openHello. It calls prepare for what this peer says of
// itself, and settle before it returns, and with that before the stream is closed: an
// opener that sees the end of the stream is let in at once.
func answerHello(s network.Stream, prepare func(explicit bool) (helloInfo, []netkey.Secret), settle func(*helloResult)) error {
	r := frame.NewReader(s, maxHello)
	var opened helloOpen
	if err := readHello(r, &opened); err != nil {
		return err
	}
	if opened.Version != helloVersion {
		return fmt.Errorf("version %d of the hello, this peer speaks %d", opened.Version, helloVersion)
	}
	info, secrets := prepare(opened.Explicit)
	a, b := string(s.Conn().RemotePeer()), string(s.Conn().LocalPeer())
	tags := func(r netkey.Role) []netkey.HelloTag {
		return helloTags(secrets, r, a, b, opened.From.Nonce, info.Nonce)
	}
	if err := sendHello(s, helloAnswer{From: info, Tags: padded(tags(netkey.Answerer))}); err != nil {
		return err
	}
	var proof helloProof
	if err := readHello(r, &proof); err != nil {
		return err
	}
	settle(newHelloResult(s, info, opened.From, opened.Explicit, tags(netkey.Opener), proof.Tags))
	return nil
}

// helloTags returns the tag of each network for the hello between the opener a and the
// answerer b.
func helloTags(secrets []netkey.Secret, r netkey.Role, a, b string, nonceA, nonceB netkey.Nonce) []netkey.HelloTag {
	tags := make([]netkey.HelloTag, len(secrets))
	for i, secret := range secrets {
		tags[i] = secret.HelloTag(r, a, b, nonceA, nonceB)
	}
	return tags
}

// newHelloResult compares the tags that the remote peer would send if it were in each of
// the local networks with those that it has sent.
func newHelloResult(s network.Stream, local, remote helloInfo, explicit bool, want, got []netkey.HelloTag) *helloResult {
	result := &helloResult{
		local: local, remote: remote, explicit: explicit, conn: s.Conn(),
		skew: time.Duration(remote.Clock-local.Clock) * time.Millisecond,
	}
	for _, tag := range want {
		result.common = append(result.common, slices.Contains(got, tag))
	}
	return result
}

// padded returns tags among random ones in random order, so that neither which nor how
// many networks there are can be read from them.
func padded(tags []netkey.HelloTag) []netkey.HelloTag {
	all := make([]netkey.HelloTag, (len(tags)/padTags+1)*padTags)
	for i := copy(all, tags); i < len(all); i++ {
		rand.Read(all[i][:])
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
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
