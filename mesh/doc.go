// Package mesh joins peers to a network and carries messages among them.
//
// [Join] makes a libp2p host, yours or one from go2p/host, a member of a network:
// a name, and for a private network a key. [Mesh.Broadcast] sends to every member,
// [Mesh.Whisper] to one and returns when that one has it, [Mesh.Ask] waits for its
// reply. [Mesh.Messages] yields what arrives; [Mesh.Reply] answers it.
//
// Two connected peers say hello before anything else: each proves to the other
// which networks it knows without naming one to a stranger. Those with a network in
// common become members to each other; only then do they see that network's
// streams, topics and messages. Members that fall silent are pinged, given up after
// three misses and dialled again for ever. Broadcasts are signed by their author
// and handled once in one run of a peer, whatever path and however many copies they
// come by; those that get lost on the way are fetched from neighbours, which remember
// them for a minute. A message's packets are values of the data model: nil, bool,
// int64, uint64, float64, string, []byte, []any and map[string]any.
//
// An error says which peer and why: [ErrNoCommonNetwork] is reported at both ends.
// A context bounds the one call it is given to; the mesh lives until [Mesh.Close],
// which leaves the host as it was. Queues are bounded: a whisper waits for room at
// its receiver, a broadcast that finds no room, or that nobody has any more when it
// is missed, is counted and reported as an [EventGap], a subscriber that does not keep
// up is ended with [ErrLagged].
//
// Left out on purpose: a member is trusted to be in its network (who knows an open
// network's name may join it), and who comes back after more than a minute is not
// told what it missed.
package mesh
