package mesh

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A controlKind is what a control message says.
type controlKind uint8

const (
	controlPing      controlKind = 1 // answer with a pong of the same nonce
	controlPong      controlKind = 2
	controlWantPeers controlKind = 3 // answer with a list of the same nonce, with Target in it if known
	controlPeers     controlKind = 4
	controlHave      controlKind = 5 // which broadcasts the sender can serve
	controlFetch     controlKind = 6 // answer with those batches of Range that there are
	controlBatches   controlKind = 7
	controlPush      controlKind = 8 // batches for a member that gossipsub passes over
	controlAckQuery  controlKind = 9 // answer with the same nonce as soon as you have all of Range
	controlAck       controlKind = 10
)

// A controlMessage is what neighbours send each other, each on a control stream of its own
// that stays open.
type controlMessage struct {
	Kind    controlKind  `cbor:"1,keyasint"`
	Nonce   uint64       `cbor:"2,keyasint,omitempty"`
	Target  []byte       `cbor:"3,keyasint,omitempty"`
	Peers   []listedPeer `cbor:"4,keyasint,omitempty"`
	Haves   []wireHave   `cbor:"5,keyasint,omitempty"`
	Range   *wireRange   `cbor:"6,keyasint,omitempty"`
	Batches []agedData   `cbor:"7,keyasint,omitempty"`
}

// listedPeer is a peer in a list.
type listedPeer struct {
	_     struct{} `cbor:",toarray"`
	ID    []byte
	Addrs [][]byte
}

// wireHave is a repair.Have.
type wireHave struct {
	_         struct{} `cbor:",toarray"`
	Author    []byte
	Boot      uint64
	Low, High uint64
	Age       uint64 // milliseconds
	Urgent    bool
}

// wireRange is intervals of a run.
type wireRange struct {
	_         struct{} `cbor:",toarray"`
	Author    []byte
	Boot      uint64
	Intervals []uint64 // first and last number of each, ascending
}

func flatten(stretches []repair.Interval) (list []uint64) {
	for _, s := range stretches {
		list = append(list, s.First, s.Last)
	}
	return list
}

func (r *wireRange) run() repair.Run { return repair.Run{Author: string(r.Author), Boot: r.Boot} }

// intervals returns the intervals up to the first that makes no sense.
func (r *wireRange) intervals() (list []repair.Interval) {
	var before uint64
	for i := 0; i+1 < len(r.Intervals); i += 2 {
		s := repair.Interval{First: r.Intervals[i], Last: r.Intervals[i+1]}
		if s.First <= before || s.First > s.Last {
			break
		}
		list, before = append(list, s), s.Last
	}
	return list
}

// agedData is a batch and how long ago it was sent.
type agedData struct {
	_    struct{} `cbor:",toarray"`
	Data []byte
	Age  uint64 // milliseconds
}

var controlDecoder = dcbor.Decoder(max(maxListed, repair.MaxHaves, repair.MaxServed, 2*repair.MaxIntervals), 8)

func decodeControl(body []byte) (controlMessage, error) {
	var msg controlMessage
	if err := controlDecoder.Unmarshal(body, &msg); err != nil {
		return msg, err
	}
	if len(msg.Peers) > maxListed {
		return msg, fmt.Errorf("list of %d peers", len(msg.Peers))
	}
	for _, l := range msg.Peers {
		if len(l.Addrs) > maxAddrs {
			return msg, fmt.Errorf("%d addresses for one peer", len(l.Addrs))
		}
	}
	return msg, nil
}

// milliseconds reads an age from the wire; what is older than anything that is kept
// makes no difference.
func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(time.Hour.Milliseconds()))) * time.Millisecond
}
