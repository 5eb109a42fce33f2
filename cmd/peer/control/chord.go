package control

import (
	"context"
	"net/http"
	"time"

	"github.com/p2p-today/go2p/chord"
)

// chordRoutes answer for what only the table has: the ring, and the slot of this peer.
type chordRoutes struct{ store *chordStore }

func (s *chordRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathChordRing, answer(s.ring))
	mux.HandleFunc("POST "+PathChordJoin, stream(s.join))
	mux.HandleFunc("POST "+PathChordLeave, stream(s.leave))
}

func (s *chordRoutes) ring(ctx context.Context, _ struct{}) (Ring, error) {
	if err := s.store.ready(ctx); err != nil {
		return Ring{}, err
	}
	r, err := s.store.table.Ring(ctx)
	if err != nil {
		return Ring{}, err
	}
	out := Ring{K: r.K, Nodes: []RingNode{}, Fingers: []Finger{}}
	for _, n := range r.Nodes {
		out.Nodes = append(out.Nodes, RingNode{n.Peer, n.Slot, n.Self, n.Keys, n.Share, n.Backfilling, append([]string{}, n.Successors...)})
	}
	for _, f := range r.Fingers {
		out.Fingers = append(out.Fingers, Finger{f.Goal, f.Slot, f.Peer})
	}
	return out, nil
}

func (s *chordRoutes) join(w http.ResponseWriter, r *http.Request, _ struct{}) {
	s.runTask(w, r, chord.TaskBackfill, s.store.table.Join, func() TaskLine {
		return TaskLine{Event: string(chord.EventJoined), Slot: s.store.table.Status().Slot}
	}, func() bool { return s.store.table.Status().Backfilling })
}

func (s *chordRoutes) leave(w http.ResponseWriter, r *http.Request, _ struct{}) {
	s.runTask(w, r, chord.TaskHandOff, s.store.table.Unjoin, func() TaskLine {
		return TaskLine{Event: string(chord.EventLeft)}
	}, func() bool { return false })
}

// runTask calls do, writes its progress as lines, and waits until goesOn reports false. The last line is that of done.
func (s *chordRoutes) runTask(w http.ResponseWriter, r *http.Request, task chord.Task,
	do func(context.Context) error, done func() TaskLine, goesOn func() bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events := s.store.table.Events(ctx)
	result := make(chan error, 1)
	go func() { result <- do(ctx) }()
	told := make(chan TaskLine)
	go func() {
		for ev, err := range events {
			if err != nil {
				return
			}
			if ev.Kind == chord.EventProgress && ev.Task == task {
				select {
				case told <- TaskLine{Event: string(ev.Kind), Task: string(ev.Task), Done: ev.Done, Total: ev.Total}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	l := newLines(w)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	ended := false
	for !ended || goesOn() {
		select {
		case err := <-result:
			if ended = true; err != nil {
				l.write(TaskLine{Event: "error", Error: toError(err)}, false)
				return
			}
		case line := <-told:
			if !l.write(line, false) {
				return
			}
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
	l.write(done(), false)
}
