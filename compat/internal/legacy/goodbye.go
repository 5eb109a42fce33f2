package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// nowhere is the network of who leaves. No network has this ID, which is not one in base 58.
const nowhere = Mark + " is leaving"

// Goodbye is a handshake of another network, on which old nodes close by themselves. An old
// py node that loses a connection instead asks all others for their peers, in a way that py 3
// does not survive in 0.6 and 0.7: each of them ends the connection, and asks all others. It
// is nil for js, which need not be told, and may not survive it.
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
