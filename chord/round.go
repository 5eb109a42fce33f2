package chord

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/quorum"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/backoff"
)

// retry is how long to wait before replicas that did not help are asked again.
var retry = backoff.Policy{Min: 20 * time.Millisecond, Max: time.Second}

// A round asks the replicas of a key one question, until the votes decide. It belongs to one
// goroutine.
type round struct {
	node      *node
	client    *client
	ctx       context.Context
	positions [ring.Copies]ring.Slot
	ask       func(ring.Replica) *wire.Question
	trace     func(Step)

	replicas []ring.Replica // as they are known now
	ballots  []ballot       // of those that were asked, in that order
	waiting  int
	answers  chan arrival
	pauses   backoff.Backoff
}

// A ballot is what a replica has answered. The reply is nil if that is nothing of use.
type ballot struct {
	replica ring.Replica
	vote    quorum.Vote
	reply   *wire.Reply
}

type arrival struct {
	replica ring.Replica
	kind    uint64 // of the question
	reply   *wire.Reply
	err     error
}

func newRound(ctx context.Context, c *client, key string, ask func(ring.Replica) *wire.Question) *round {
	return &round{
		node: c.node, client: c, ctx: ctx, positions: c.node.k.Positions(key), ask: ask,
		ballots: make([]ballot, 0, ring.Copies),
		answers: make(chan arrival, 4*ring.Copies), pauses: backoff.Backoff{Policy: retry},
	}
}

// locate finds the replicas as they are known now. If one that has answered knows of more
// nodes than this one, it is asked for them.
func (r *round) locate() (err error) {
	if err = r.known(); err != nil {
		return err
	}
	for _, b := range r.ballots {
		if b.reply != nil && b.reply.Replicas > len(r.replicas) {
			q := &wire.Question{Kind: wire.AskFind, Position: b.replica.Slot}
			if _, silent := r.client.ask(r.ctx, peer.ID(b.replica.Peer), q); silent != nil {
				continue
			}
			if err = r.known(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *round) known() error {
	if r.client.life.Context().Err() != nil {
		return ErrClosed
	}
	if err := r.node.neighbours.refusal(); err != nil {
		return err
	}
	if r.replicas = r.node.replicas(r.positions); len(r.replicas) == 0 {
		return ErrNoPeers
	}
	return nil
}

// ballot returns the ballot of a replica, nil if it was not asked.
func (r *round) ballot(replica ring.Replica) *ballot {
	for i := range r.ballots {
		if r.ballots[i].replica == replica {
			return &r.ballots[i]
		}
	}
	return nil
}

// votes appends the vote of each replica to room.
func (r *round) votes(room []quorum.Vote) []quorum.Vote {
	for _, replica := range r.replicas {
		var v quorum.Vote
		if b := r.ballot(replica); b != nil {
			v = b.vote
		}
		room = append(room, v)
	}
	return room
}

// send asks replicas that were not asked, at most most of them.
func (r *round) send(ctx context.Context, most int) {
	for _, replica := range r.replicas {
		if most <= 0 {
			return
		}
		if r.ballot(replica) != nil {
			continue
		}
		r.ballots = append(r.ballots, ballot{replica: replica, vote: quorum.Vote{Answer: quorum.Waiting}})
		r.waiting++
		most--
		q := r.ask(replica)
		r.client.life.Go(func() {
			start := time.Now()
			a, err := r.client.ask(ctx, peer.ID(replica.Peer), q)
			if r.trace != nil {
				r.trace(step(replica, a, err, time.Since(start)))
			}
			select {
			case r.answers <- arrival{replica, q.Kind, a, err}:
			case <-r.client.life.Context().Done():
			}
		})
	}
}

// next waits for an answer, or for until. If no answer is on its way, it waits for a pause
// that grows, and has those replicas asked again that have not helped. It reports whether
// it was done before until. Errors: ErrClosed, or the context's.
func (r *round) next(until <-chan time.Time) (timely bool, err error) {
	if r.waiting == 0 {
		return true, r.again()
	}
	select {
	case a := <-r.answers:
		r.waiting--
		*r.ballot(a.replica) = r.count(a)
		return true, nil
	case <-until:
		return false, nil
	case <-r.ctx.Done():
		return false, r.ctx.Err()
	case <-r.client.life.Context().Done():
		return false, ErrClosed
	}
}

// count turns an answer into a vote.
func (r *round) count(a arrival) ballot {
	silent := ballot{replica: a.replica, vote: quorum.Vote{Answer: quorum.Silent}}
	if a.err != nil {
		return silent
	}
	if a.reply.Whole && home.Hash(a.reply.Value) != a.reply.Write.Hash { // the value is not that of its version
		r.client.transport.report(peer.ID(a.replica.Peer))
		return silent
	}
	v := quorum.Vote{Backfilling: a.reply.Backfilling, Version: a.reply.Write.Version, Whole: a.reply.Whole}
	switch {
	case a.reply.Kind == wire.SayVersion && a.kind != wire.AskPut:
		v.Answer = quorum.Stores
	case a.reply.Kind != wire.SayOutcome || a.kind == wire.AskGet:
		return silent
	case a.kind == wire.AskPrepare, a.reply.Outcome == home.Lower:
		v.Answer = quorum.Above
	case a.reply.Outcome == home.Full:
		v.Answer = quorum.Full
	default:
		v.Answer = quorum.Took
	}
	return ballot{replica: a.replica, vote: v, reply: a.reply}
}

func (r *round) again() error {
	select {
	case <-time.After(r.pauses.Next(nil)):
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.client.life.Context().Done():
		return ErrClosed
	}
	r.ballots = slices.DeleteFunc(r.ballots, func(b ballot) bool {
		return b.vote.Answer == quorum.Silent || b.vote.Backfilling
	})
	return nil
}

// noMajority says why an operation ended.
func (r *round) noMajority(got int, why error) error {
	all := len(r.replicas)
	return fmt.Errorf("%w: %d of %d have, at least %d must (%w)", ErrNoMajority, got, all, quorum.Majority(all), why)
}

// A Step is one question that was asked for a key, and what came of it.
type Step struct {
	Peer   string
	Slot   uint64
	Role   Role
	Answer string // for a reader
	Took   time.Duration
}

// A Role is which replica of a key a peer was asked as.
type Role struct {
	Replica    int // 1 to 5: for which of the key's positions
	AfterOwner int // how many nodes it follows the position's owner; 0 for the owner itself
}

// String returns the role for a reader.
func (r Role) String() string {
	if r.AfterOwner > 0 {
		return fmt.Sprintf("home %d, %d after the owner", r.Replica, r.AfterOwner)
	}
	return fmt.Sprintf("home %d", r.Replica)
}

func step(r ring.Replica, a *wire.Reply, err error, took time.Duration) Step {
	role := Role{Replica: r.Index + 1, AfterOwner: r.Offset}
	s := Step{Peer: peer.ID(r.Peer).String(), Slot: uint64(r.Slot), Role: role, Took: took}
	switch {
	case err != nil:
		s.Answer = "silent: " + err.Error()
	case a.Kind == wire.SayNotMine && len(a.Next) > 0:
		s.Answer = "not mine: ask " + peer.ID(a.Next[0].Peer).String()
	case a.Kind == wire.SayNotMine:
		s.Answer = "not mine"
	case a.Kind == wire.SayFailed:
		s.Answer = "failed: " + a.Text
	case a.Backfilling:
		s.Answer = "is filling"
	case a.Kind == wire.SayVersion && a.Write.Counter == 0:
		s.Answer = "has nothing"
	case a.Kind == wire.SayVersion && a.Write.Deleted:
		s.Answer = fmt.Sprintf("deleted in version %d", a.Write.Counter)
	case a.Kind == wire.SayVersion:
		s.Answer = fmt.Sprintf("has version %d", a.Write.Counter)
	default:
		s.Answer = "answered"
	}
	return s
}
