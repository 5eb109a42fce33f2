package control

import (
	"context"
	"iter"
	"net/http"
	"sync"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// eventRoutes answer with the events of all models in one stream.
type eventRoutes struct {
	mesh  *mesh.Mesh
	dict  *p2psync.Dict
	table *chord.Table
}

func (s *eventRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathEvents, s.events)
}

func (s *eventRoutes) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	meshEvents, dictEvents, tableEvents := s.mesh.Events(ctx), s.dict.Events(ctx), s.table.Events(ctx)
	out := make(chan Event)
	var sources sync.WaitGroup
	sources.Go(func() { forward(ctx, cancel, meshEvents, toMeshEvent, out) })
	sources.Go(func() { forward(ctx, cancel, dictEvents, toSyncEvent, out) })
	sources.Go(func() { forward(ctx, cancel, tableEvents, toChordEvent, out) })
	defer sources.Wait()
	defer cancel()
	l := newLines(w)
	for {
		select {
		case ev := <-out:
			if !l.write(ev, false) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// forward sends events to out. When they end, it ends the whole stream.
func forward[E any](ctx context.Context, end func(), events iter.Seq2[E, error], to func(E) Event, out chan<- Event) {
	defer end()
	for ev, err := range events {
		if err != nil {
			return
		}
		select {
		case out <- to(ev):
		case <-ctx.Done():
			return
		}
	}
}

func toMeshEvent(ev mesh.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer.String()}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	switch ev.Kind {
	case mesh.EventMessage:
		msg := toMessage(ev.Message)
		out.Message = &msg
	case mesh.EventGap:
		out.Gap = &Gap{ev.Gap.Author.String(), ev.Gap.Boot, ev.Gap.First, ev.Gap.Last}
	}
	return out
}

func toSyncEvent(ev p2psync.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer, Owner: ev.Owner}
	if ev.Key != "" {
		key := Key(ev.Key)
		out.Key = &key
	}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	return out
}

func toChordEvent(ev chord.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	if ev.Kind == chord.EventProgress {
		out.Progress = &Progress{string(ev.Task), ev.Done, ev.Total, ev.Over}
	}
	return out
}
