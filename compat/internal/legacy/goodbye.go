package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// nowhere is the subnet of a goodbye. No network has this ID, since it is not in base 58.
const nowhere = Mark + " is leaving"

// Goodbye returns a handshake of another network, on which an old node closes the connection by itself. It is nil for
// js, which does not need it and may not survive it.
//
// An old py node that loses a connection instead asks all others for their peers. In 0.6 and 0.7, py 3 does not
// survive that: each node that is asked ends the connection, and asks all others.
func Goodbye(v wire.Version, to wire.Language, id string, now time.Time) []byte {
	if to == wire.JavaScript {
		return nil
	}
	m := wire.New(v, wire.Whisper, wire.Handshake, v.GreetingArgs(wire.Greeting{ID: id, SubnetID: nowhere})...)
	m.Sender, m.Time, m.Aligned = id, now.Unix(), true
	body, err := wire.Encode(m)
	if err != nil {
		panic(err) // of a few texts, which cannot fail
	}
	return body
}
