// Package presence is a service on a mesh: each member says what it is doing, and knows
// what the others say.
package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
)

const purpose = "example-presence-1"

// A Presence is this peer's part in the service. Its mutex guards what is known.
type Presence struct {
	service *mesh.Service
	topic   *mesh.Topic
	self    peer.ID

	mu     sync.Mutex
	status string            // of this peer
	known  map[peer.ID]claim // the latest of each member
}

// A claim is what a member says. Version is raised with each.
type claim struct {
	Author  peer.ID
	Version uint64
	Status  string
	Sig     []byte
}

func (c claim) signed() []byte { return fmt.Append(nil, c.Version, " ", c.Status) }

// Join starts the service on a mesh.
func Join(m *mesh.Mesh) (p *Presence, err error) {
	p = &Presence{service: m.Service("presence"), self: m.ID(), known: map[peer.ID]claim{}}
	p.topic, err = p.service.JoinTopic("presence", p.validate, func(peer.ID) { p.publish(context.Background()) })
	return p, err
}

// Close ends the service. The mesh goes on.
func (p *Presence) Close() { p.topic.Close() }

// Of returns what a member says, and nothing if it has not said anything.
func (p *Presence) Of(member peer.ID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[member].Status
}

// Set tells the members what this peer is doing.
func (p *Presence) Set(ctx context.Context, status string) error {
	p.mu.Lock()
	p.status = status
	p.mu.Unlock()
	return p.publish(ctx)
}

// publish sends a new claim, also after a restart the latest.
func (p *Presence) publish(ctx context.Context) error {
	p.mu.Lock()
	last := p.known[p.self].Version
	c := claim{Author: p.self, Version: max(last+1, uint64(time.Now().UnixMicro())), Status: p.status}
	p.known[p.self] = c
	p.mu.Unlock()
	var err error
	if c.Sig, err = p.service.Sign(purpose, c.signed()); err != nil {
		return err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return p.topic.Publish(ctx, data)
}

// validate decides about a claim that a neighbour has sent, not always its own: a claim that
// its author has not signed is the neighbour's fault, and an old one goes no further.
func (p *Presence) validate(from peer.ID, data []byte) mesh.Verdict {
	var c claim
	if err := json.Unmarshal(data, &c); err != nil || !p.service.Verify(c.Author, purpose, c.signed(), c.Sig) {
		p.service.ReportMisbehaviour(from, fmt.Errorf("a claim that nobody has signed"))
		return mesh.Reject
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Author == p.self || c.Version <= p.known[c.Author].Version {
		return mesh.Ignore
	}
	p.known[c.Author] = c
	return mesh.Pass
}
