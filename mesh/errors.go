package mesh

import (
	"errors"
	"fmt"

	"github.com/p2p-today/go2p/internal/fanout"
)

var (
	// ErrNoCommonNetwork says that two connected peers have no network in
	// common, or not the one that was asked for: it is another network, or
	// another key. Both ends are told.
	ErrNoCommonNetwork = errors.New("no common network: another network or another key")

	// ErrUnreachable says that a peer could not be found, dialled, or kept long
	// enough to deliver a message to it. What lay behind is wrapped with it.
	ErrUnreachable = errors.New("peer cannot be reached")

	// ErrAlone says that there is no neighbour and nobody is being dialled.
	ErrAlone = errors.New("no neighbours")

	// ErrClosed says that the mesh was closed.
	ErrClosed = errors.New("mesh is closed")

	// ErrLagged ends a subscriber that did not keep up with what arrived.
	ErrLagged = fanout.ErrLagged

	// ErrTooLarge says that a message is larger than MaxMessage.
	ErrTooLarge = fmt.Errorf("message larger than %d bytes", MaxMessage)

	// ErrLeft is why a membership ended that the other peer, or this one,
	// ended on purpose.
	ErrLeft = errors.New("left the network")

	// ErrSilent is why a membership ended that three pings did not revive.
	ErrSilent = errors.New("did not answer three pings")

	// ErrDisconnected is why a membership ended with its last connection.
	ErrDisconnected = errors.New("connection lost")

	// ErrOffended is why a member was put outside for ten minutes: it sent ten batches
	// that do not verify, or as many frames that do not decode, in a minute, or more
	// messages, bytes or streams than honest peers do.
	ErrOffended = errors.New("put outside for its conduct")
)
