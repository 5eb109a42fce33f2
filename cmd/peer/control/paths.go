package control

// The paths of the peer as a whole.
const (
	PathStatus = "/v1/status"
	PathEvents = "/v1/events"
	PathDoctor = "/v1/doctor" // takes a DoctorRequest
)

// The paths of the mesh.
const (
	PathPeers      = "/v1/mesh/peers"
	PathConnect    = "/v1/mesh/connect"    // takes a Target
	PathDisconnect = "/v1/mesh/disconnect" // takes a Target
	PathSend       = "/v1/mesh/send"       // takes an Outgoing, as those below
	PathWhisper    = "/v1/mesh/whisper"
	PathAsk        = "/v1/mesh/ask"
	PathReply      = "/v1/mesh/reply"
	PathMessages   = "/v1/mesh/messages" // takes a MessagesRequest; a message that was read waits no more
)

// A Store names one of a peer's two key-value stores.
type Store string

// The stores.
const (
	Sync  Store = "sync"  // the dictionary
	Chord Store = "chord" // the table
)

// The paths of a store end in these.
const (
	Get    = "get"   // takes a KeyRequest, as those below
	Set    = "set"   // with a Value
	Delta  = "delta" // with a Value, which is an object
	Delete = "delete"
	Pop    = "pop"
	Update = "update" // takes an UpdateRequest
	Items  = "items"  // query: prefix=P, keys=1
	Watch  = "watch"  // query: prefix=P, from=REVISION
)

// Path returns a path of the store.
func (s Store) Path(end string) string { return "/v1/" + string(s) + "/" + end }

// The paths that only the dictionary has.
const (
	PathSyncStatus = "/v1/sync/status"
	PathSyncLease  = "/v1/sync/lease" // takes a KeyRequest
	PathSyncLock   = "/v1/sync/lock"  // takes a KeyRequest; the lock is held while the request lasts
)

// The paths that only the table has.
const (
	PathChordRing  = "/v1/chord/ring"
	PathChordJoin  = "/v1/chord/join"
	PathChordLeave = "/v1/chord/leave"
)

// The paths of the bridge.
const (
	PathBridge       = "/v1/bridge"
	PathBridgeAdd    = "/v1/bridge/add"
	PathBridgeRemove = "/v1/bridge/remove"
)
