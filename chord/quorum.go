package chord

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/quorum"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// A coordinator reads and writes keys at their replicas: a majority has to agree, as
// internal/quorum decides. It has no state of its own but a counter.
type coordinator struct {
	node    *node
	client  *client
	repairs atomic.Uint64 // replicas that reads have given what they lacked
}

// A readResult is what the replicas say of a key. The zero version stands for no value.
type readResult struct {
	home.Write
	value    string
	replicas []ring.Replica
}

func (r *readResult) found() bool { return r.Counter > 0 && !r.Deleted }

// read returns what stands: the newest version that a majority knows of. Replicas that have
// an older one are given it; and if a majority has not got it yet, read waits until it has,
// so that no later read finds an older one.
func (c *coordinator) read(ctx context.Context, key string, trace func(Step)) (*readResult, error) {
	r := newRound(ctx, c.client, key, briefly(wire.Question{Kind: wire.AskGet, Key: key}))
	r.trace = trace
	t, votes, err := r.gather()
	if err != nil {
		return nil, err
	}
	res, err := c.fetch(ctx, key, r, t.Newest)
	if err == nil {
		c.repair(ctx, key, res, quorum.Repair(votes, res.Version))
	}
	return res, err
}

// prepare has a majority of the replicas take nothing below a version, and returns what
// stands now. If that or a promise to somebody else is above the version, it returns the
// counter of that.
func (c *coordinator) prepare(ctx context.Context, key string, v home.Version) (res *readResult, above uint64, err error) {
	q := wire.Question{Kind: wire.AskPrepare, Key: key, Write: home.Write{Version: v}}
	r := newRound(ctx, c.client, key, briefly(q))
	t, _, err := r.gather()
	if err == nil && t.Above == 0 {
		res, err = c.fetch(ctx, key, r, t.Newest)
	}
	return res, t.Above, err
}

// briefly returns what asks each replica a question, and the first one for the value.
func briefly(q wire.Question) func(ring.Replica) *wire.Question {
	return func(replica ring.Replica) *wire.Question {
		asked := q
		asked.Role = replica.Role
		q.Brief = true
		return &asked
	}
}

// gather asks replicas until their votes for a read decide, or name something above what
// was to be prepared.
func (r *round) gather() (t quorum.ReadTally, votes []quorum.Vote, err error) {
	votes = make([]quorum.Vote, 0, ring.Copies)
	hedge := time.After(r.client.hedge())
	for {
		if err := r.locate(); err != nil {
			return t, nil, err
		}
		votes = r.votes(votes[:0])
		if t = quorum.Read(votes); t.Decided {
			return t, votes, nil
		}
		r.send(r.ctx, t.Ask)
		timely, err := r.next(hedge)
		if err != nil {
			return t, nil, r.noMajority(t.Got, err)
		}
		if !timely {
			r.send(r.ctx, len(r.replicas))
		}
	}
}

// fetch returns what a replica has named, and gets the value if it did not come with the
// version.
func (c *coordinator) fetch(ctx context.Context, key string, r *round, from int) (*readResult, error) {
	replica := r.replicas[from]
	p, newest := peer.ID(replica.Peer), r.ballot(replica).reply
	res := &readResult{Write: newest.Write, value: newest.Value, replicas: r.replicas}
	if res.Counter > 0 && !res.Deleted && !newest.Whole {
		a, err := c.client.ask(ctx, p, &wire.Question{Kind: wire.AskFetch, Key: key})
		if err != nil {
			return nil, err
		}
		if a.Kind != wire.SayVersion || a.Write.Compare(res.Version) < 0 || !a.Write.Deleted && !a.Whole {
			return nil, fmt.Errorf("%w: %s has no value of its version", ErrNoMajority, p)
		}
		res.Write, res.value = a.Write, a.Value
	}
	if res.found() && home.Hash(res.value) != res.Hash {
		c.client.transport.report(p)
		return nil, fmt.Errorf("%w: the value from %s is not that of its version", ErrNoMajority, p)
	}
	return res, nil
}

// repair gives what was read to replicas that have something older, and waits until a
// majority has it.
func (c *coordinator) repair(ctx context.Context, key string, res *readResult, t quorum.RepairTally) {
	if len(t.Lack) == 0 {
		return
	}
	c.repairs.Add(uint64(len(t.Lack)))
	given := make(chan bool, len(t.Lack))
	for _, i := range t.Lack {
		c.client.life.Go(func() {
			q := &wire.Question{Kind: wire.AskOffer, Key: key, Write: res.Write, Value: res.value}
			a, err := c.client.ask(c.client.life.Context(), peer.ID(res.replicas[i].Peer), q)
			given <- err == nil && a.Kind == wire.SayOutcome
		})
	}
	have := t.Have
	for range t.Lack {
		if have >= quorum.Majority(len(res.replicas)) {
			break
		}
		select {
		case ok := <-given:
			if ok {
				have++
			}
		case <-ctx.Done():
			return
		}
	}
}

// newWrite returns a write of this peer.
func (c *coordinator) newWrite(counter uint64, value string, deleted bool) home.Write {
	v := home.Version{Counter: counter, Writer: string(c.node.id)}
	w := home.Write{Version: v, Deleted: deleted, At: time.Now(), Size: len(value)}
	if !deleted {
		w.Hash = home.Hash(value)
	}
	return w
}

// attempt writes one version. It returns the counter of a higher one that a replica has, or
// 0 when a majority has taken this one.
func (c *coordinator) attempt(ctx context.Context, key, value string, w home.Write) (above uint64, err error) {
	r := newRound(ctx, c.client, key, func(replica ring.Replica) *wire.Question {
		return &wire.Question{Kind: wire.AskPut, Key: key, Role: replica.Role, Write: w, Value: value}
	})
	life := c.client.life
	votes := make([]quorum.Vote, 0, ring.Copies)
	for {
		if err := r.locate(); err != nil {
			return 0, err
		}
		votes = r.votes(votes[:0])
		t := quorum.Write(votes)
		switch {
		case t.Above > 0:
			return t.Above, nil
		case t.Decided:
			life.Go(r.finish)
			return 0, nil
		case t.Full:
			return 0, ErrFull
		}
		r.send(life.Context(), len(r.replicas)) // replicas beyond the majority get it also when this is over
		if _, err := r.next(nil); err != nil {
			return 0, r.noMajority(t.Got, err)
		}
	}
}

// finish goes on with a write that a majority has taken, until all replicas have answered, so
// that there are as many copies as there should be.
func (r *round) finish() {
	life := r.client.life.Context()
	ctx, cancel := context.WithTimeout(life, opTime)
	defer cancel()
	r.ctx = ctx
	votes := make([]quorum.Vote, 0, ring.Copies)
	for {
		err := r.locate()
		if votes = r.votes(votes[:0]); err == nil && quorum.Everywhere(votes) {
			return
		}
		r.send(life, len(r.replicas))
		if _, err := r.next(nil); err != nil {
			return
		}
	}
}

var errWorn = errors.New("it was written too often")

// write gives a key a version above all that its replicas have, whatever that is. It returns
// when a majority has it.
func (c *coordinator) write(ctx context.Context, key, value string) error {
	for counter := uint64(1); ; {
		above, err := c.attempt(ctx, key, value, c.newWrite(counter, value, false))
		if err != nil || above == 0 {
			return err
		}
		if counter = above + 1; counter > home.MaxCounter {
			return errWorn
		}
	}
}

// A change makes a new value from the one that a key has, which is nil if there is none. Own
// says that the value was written in an earlier attempt of the same modification, and that
// it is not known whether a majority had taken that.
type change func(was *readResult, own bool) (value string, deleted bool, err error)

// modify writes what a change makes. If another peer writes meanwhile it does so anew.
func (c *coordinator) modify(ctx context.Context, key string, f change) error {
	tried := map[home.Version]bool{}
	for counter := uint64(1); counter <= home.MaxCounter; {
		was, above, err := c.prepare(ctx, key, home.Version{Counter: counter, Writer: string(c.node.id)})
		if err != nil {
			return err
		}
		if above == 0 {
			own := tried[was.Version]
			if !was.found() {
				was = nil
			}
			value, deleted, err := f(was, own)
			if err != nil {
				return err
			}
			w := c.newWrite(counter, value, deleted)
			tried[w.Version] = true
			if above, err = c.attempt(ctx, key, value, w); err != nil || above == 0 {
				return err
			}
		}
		if counter > 1 { // somebody else writes: one of the two should be ahead
			select {
			case <-time.After(rand.N(retry.Min)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		counter = above + 1
	}
	return errWorn
}
