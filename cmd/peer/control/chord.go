package control

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/internal/value"
)

func (s *Server) routeChord(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathTableGet, answer(s.tableGet))
	mux.HandleFunc("POST "+PathTableSet, answer(s.tableSet))
	mux.HandleFunc("POST "+PathTableDelete, answer(s.tableDelete))
	mux.HandleFunc("POST "+PathTablePop, answer(s.tablePop))
	mux.HandleFunc("POST "+PathTableDelta, answer(s.tableDelta))
	mux.HandleFunc("POST "+PathTableUpdate, answerUpTo(maxUpdateRequest, s.tableUpdate))
	mux.HandleFunc("GET "+PathTableItems, s.tableItems)
	mux.HandleFunc("GET "+PathTableWatch, s.tableWatch)
	mux.HandleFunc("GET "+PathRing, answer(s.ring))
	mux.HandleFunc("GET "+PathTableJoin, s.tableJoin)
	mux.HandleFunc("GET "+PathTableLeave, s.tableLeave)
}

// awaitTable waits, in the first seconds after the start, until this peer has a slot, if
// it is to store, and knows of one that stores.
func (s *Server) awaitTable(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, s.started.Add(levelling))
	defer cancel()
	select {
	case <-s.joined:
	case <-ctx.Done():
	}
	if err := s.table.AwaitPeers(ctx); errors.Is(err, chord.ErrRefused) {
		return err
	}
	return nil
}

func (s *Server) tableGet(ctx context.Context, q KeyRequest) (TableItem, error) {
	if err := s.awaitTable(ctx); err != nil {
		return TableItem{}, err
	}
	var mu sync.Mutex
	var steps []TraceStep
	start := time.Now()
	it, err := s.table.Item(ctx, string(q.Key), func(st chord.Step) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, TraceStep{st.Peer, st.Slot, st.Role.String(), st.Answer, milliseconds(st.Took)})
	})
	if err != nil {
		return TableItem{}, err
	}
	out := toTableItem(it)
	out.Took = milliseconds(time.Since(start))
	mu.Lock()
	defer mu.Unlock()
	out.Trace = steps[:len(steps):len(steps)]
	return out, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func toTableItem(it chord.Item) TableItem {
	return TableItem{Key: Key(it.Key), Value: value.JSON(it.Value), Writer: it.Writer, Version: it.Version, Homes: it.Homes}
}

func (s *Server) tableSet(ctx context.Context, q KeyRequest) (OK, error) {
	v, err := value.FromJSON(q.Value)
	if err != nil {
		return OK{}, badRequest(err)
	}
	if err := s.awaitTable(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.table.Set(ctx, string(q.Key), v)
}

func (s *Server) tableDelta(ctx context.Context, q KeyRequest) (OK, error) {
	m, err := q.delta()
	if err != nil {
		return OK{}, err
	}
	if err := s.awaitTable(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.table.ApplyDelta(ctx, string(q.Key), m)
}

func (s *Server) tableDelete(ctx context.Context, q KeyRequest) (OK, error) {
	if err := s.awaitTable(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.table.Delete(ctx, string(q.Key))
}

func (s *Server) tablePop(ctx context.Context, q KeyRequest) (KeyValue, error) {
	if err := s.awaitTable(ctx); err != nil {
		return KeyValue{}, err
	}
	v, err := s.table.Pop(ctx, string(q.Key))
	return KeyValue{q.Key, value.JSON(v)}, err
}

func (s *Server) tableUpdate(ctx context.Context, q UpdateRequest) (OK, error) {
	if err := s.awaitTable(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.table.Update(ctx, q.items())
}

func (s *Server) tableItems(w http.ResponseWriter, r *http.Request) {
	if err := s.awaitTable(r.Context()); err != nil {
		fail(w, err)
		return
	}
	prefix, keys := r.URL.Query().Get("prefix"), r.URL.Query().Get("keys") == "1"
	l := newLines(w)
	if keys {
		for key, err := range s.table.Keys(r.Context()) {
			if !l.write(listLine(TableItem{Key: Key(key)}, err), true) {
				return
			}
		}
		return
	}
	for it, err := range s.table.Items(r.Context(), prefix) {
		if !l.write(listLine(toTableItem(it), err), true) {
			return
		}
	}
}

func listLine(it TableItem, err error) ListLine {
	if err != nil {
		return ListLine{Error: toError(err)}
	}
	return ListLine{TableItem: it}
}

func (s *Server) tableWatch(w http.ResponseWriter, r *http.Request) {
	if err := s.awaitTable(r.Context()); err != nil {
		fail(w, err)
		return
	}
	l := newLines(w)
	for c, err := range s.table.Watch(r.Context(), r.URL.Query().Get("prefix")) {
		if err != nil || !l.write(toTableChange(c), false) {
			return
		}
	}
}

// toTableChange tells of a change as the dictionary does: what has a value was updated.
func toTableChange(c chord.Change) Change {
	out := Change{Event: string(c.Kind), Value: value.JSON(c.Value), Owner: c.Writer, Term: c.Version, Time: c.Time}
	if c.Kind == chord.Added {
		out.Event = "update"
	}
	if c.Kind != chord.Missed {
		key := Key(c.Key)
		out.Key = &key
	}
	return out
}

func (s *Server) ring(ctx context.Context, _ struct{}) (Ring, error) {
	if err := s.awaitTable(ctx); err != nil {
		return Ring{}, err
	}
	r, err := s.table.Ring(ctx)
	if err != nil {
		return Ring{}, err
	}
	out := Ring{K: r.K, Nodes: []RingNode{}, Fingers: []Finger{}}
	for _, n := range r.Nodes {
		out.Nodes = append(out.Nodes, RingNode{n.Peer, n.Slot, n.Self, n.Keys, n.Share, n.Filling, append([]string{}, n.Behind...)})
	}
	for _, f := range r.Fingers {
		out.Fingers = append(out.Fingers, Finger{f.Goal, f.Slot, f.Peer})
	}
	return out, nil
}

func (s *Server) tableJoin(w http.ResponseWriter, r *http.Request) {
	s.long(w, r, chord.TaskFill, s.table.Join, func() TableLine {
		return TableLine{Event: string(chord.EventJoined), Slot: s.table.Status().Slot}
	}, func() bool { return s.table.Status().Filling })
}

func (s *Server) tableLeave(w http.ResponseWriter, r *http.Request) {
	s.long(w, r, chord.TaskHandOver, s.table.Unjoin, func() TableLine {
		return TableLine{Event: string(chord.EventLeft)}
	}, func() bool { return false })
}

// long does what takes long, tells how far it is, and waits for what goes on behind it.
func (s *Server) long(w http.ResponseWriter, r *http.Request, task chord.Task, do func(context.Context) error, done func() TableLine, goesOn func() bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events := s.table.Events(ctx)
	result := make(chan error, 1)
	go func() { result <- do(ctx) }()
	told := make(chan TableLine)
	go func() {
		for ev, err := range events {
			if err != nil {
				return
			}
			if ev.Kind == chord.EventProgress && ev.Task == task {
				select {
				case told <- TableLine{Event: string(ev.Kind), Task: string(ev.Task), Done: ev.Done, Total: ev.Total}:
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
				l.write(TableLine{Event: "error", Error: toError(err)}, false)
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

func (s *Server) tableStatus() TableStatus {
	t := s.table.Status()
	st := TableStatus{K: t.K, Stores: t.Stores, Slot: t.Slot, Keys: t.Keys, Bytes: t.Bytes, MaxBytes: t.MaxBytes, Known: t.Known, Filling: t.Filling}
	if t.Refused != nil {
		st.Refused = t.Refused.Error()
	}
	if t.Failed != nil {
		st.Failed = t.Failed.Error()
	}
	return st
}

func toTableEvent(ev chord.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	if ev.Kind == chord.EventProgress {
		out.Progress = &Progress{string(ev.Task), ev.Done, ev.Total, ev.Over}
	}
	return out
}

// chordError gives errors of the table their exit code and hint.
func chordError(e *Error, err error) {
	switch {
	case errors.Is(err, chord.ErrNotFound):
		e.Exit = ExitMissing
		e.Hint = "`peer chord keys` lists what is there"
	case errors.Is(err, chord.ErrRefused):
		e.Exit = ExitRefused
		e.Hint = "start all peers of a network with the same --k"
	case errors.Is(err, chord.ErrRingFull):
		e.Exit = ExitRefused
		e.Hint = "this peer reads and writes all the same; a larger --k at all peers makes room"
	case errors.Is(err, chord.ErrNoPeers):
		e.Exit = ExitTimeout
		e.Hint = "have a peer store with `peer chord join`; `peer mesh peers` lists who is there"
	case errors.Is(err, chord.ErrNoMajority):
		e.Exit = ExitTimeout
		e.Hint = "see with `peer chord ring` who is there; give it longer with --timeout"
	case errors.Is(err, chord.ErrTooLarge):
		e.Exit = ExitUsage
	}
}
