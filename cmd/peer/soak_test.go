package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// A soakRun is one run of a process and how often it handled each message.
type soakRun struct {
	proc     *peerProcess
	up, down time.Time // down is zero while it runs
	mu       sync.Mutex
	handled  map[string]int
}

type soakMessage struct {
	author int
	run    *soakRun
	at     time.Time
}

// A soak is processes that broadcast all the time while one after the other is
// killed and started again.
type soak struct {
	t    *testing.T
	mu   sync.Mutex
	runs [][]*soakRun
	sent map[string]soakMessage
}

func (s *soak) start(i int, dir string, args ...string) *soakRun {
	r := &soakRun{proc: up(s.t, dir, args...), up: time.Now(), handled: map[string]int{}}
	lines := control.Lines[control.Message](s.t.Context(), control.NewClient(dir, patience), control.PathMessages, control.MessagesRequest{Follow: true})
	go func() {
		for msg, err := range lines {
			if err != nil {
				return
			}
			r.mu.Lock()
			r.handled[fmt.Sprint(msg.Packets...)]++
			r.mu.Unlock()
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[i] = append(s.runs[i], r)
	return r
}

// send broadcasts one message from a peer that is up.
func (s *soak) send(n int) {
	i := rand.IntN(len(s.runs))
	s.mu.Lock()
	r := s.runs[i][len(s.runs[i])-1]
	s.mu.Unlock()
	text := fmt.Sprint("message ", n)
	packet, _ := json.Marshal(text)
	at := time.Now()
	var sent control.Sent
	err := control.NewClient(r.proc.dir, 10*time.Second).Call(s.t.Context(), control.PathSend, control.Outgoing{Packets: []json.RawMessage{packet}}, &sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && r.down.IsZero() {
		s.sent[text] = soakMessage{i, r, at}
	}
}

// Every message is handled once by every peer that was up, or came back within the
// window. A message counts that its author had two seconds to spread.
func TestMesh_SoakLosesNoMessage(t *testing.T) {
	const peers, rate, spread, comeBack = 5, 200, 2 * time.Second, 50 * time.Second
	settled := 5 * time.Second
	length, every := 8*time.Second, 3*time.Second
	if os.Getenv("GO2P_LONG") == "1" {
		length, every, settled = 10*time.Minute, 20*time.Second, 10*time.Second
	}
	s := &soak{t: t, runs: make([][]*soakRun, peers), sent: map[string]soakMessage{}}
	dir := t.TempDir()
	for i := range peers {
		var args []string
		if i > 0 {
			args = []string{"--join", s.runs[i-1][0].proc.addr()}
		}
		s.start(i, filepath.Join(dir, fmt.Sprint(i)), args...)
	}
	for i := range peers {
		var others []*peerProcess
		for j := range peers {
			if j != i {
				others = append(others, s.runs[j][0].proc)
			}
		}
		s.runs[i][0].proc.neighbours(others...)
	}

	begun := time.Now()
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for n := 0; time.Since(begun) < length; n++ {
			<-tick.C
			sending.Go(func() { s.send(n) })
		}
	})
	for k := 1; time.Since(begun) < length; k++ {
		time.Sleep(time.Until(begun.Add(time.Duration(k) * every)))
		i := rand.IntN(peers)
		r := s.runs[i][len(s.runs[i])-1]
		s.mu.Lock()
		r.down = time.Now()
		s.mu.Unlock()
		r.proc.kill()
		time.Sleep(time.Duration(rand.Int64N(int64(every / 4))))
		s.start(i, r.proc.dir)
	}
	sending.Wait()
	time.Sleep(settled)         // the last repairs
	eventually(t, func() bool { // or longer, on a machine that has more to do
		missed, _, _ := s.count(spread, settled, comeBack)
		return len(missed) == 0
	}, func() string {
		s.check(spread, settled, comeBack)
		return "nor do they come"
	})
	s.check(spread, settled, comeBack)
}

// at is a moment since the begin, in seconds.
func (s *soak) at(t time.Time) string {
	if t.IsZero() {
		return "the end"
	}
	return fmt.Sprintf("%.1f", t.Sub(s.runs[0][0].up).Seconds())
}

func (s *soak) check(spread, settled, comeBack time.Duration) {
	missed, twice, expected := s.count(spread, settled, comeBack)
	n := 0
	for story, times := range missed {
		n += len(times)
		s.t.Logf("%s: %d sent from %v to %v", story, len(times),
			s.at(slices.MinFunc(times, time.Time.Compare)), s.at(slices.MaxFunc(times, time.Time.Compare)))
	}
	if n > 0 || len(twice) > 0 {
		s.t.Errorf("%d of %d deliveries are missing; handled twice: %q", n, expected, twice)
	}
	s.t.Logf("%d messages, %d deliveries expected, %d missing, %d handled twice", len(s.sent), expected, n, len(twice))
}

// count tells which deliveries are missing, by what their author and receiver went
// through, which messages were handled twice, and how many deliveries are expected.
func (s *soak) count(spread, settled, comeBack time.Duration) (missed map[string][]time.Time, twice []string, expected int) {
	missed = map[string][]time.Time{}
	for i, runs := range s.runs {
		for _, r := range runs {
			r.mu.Lock()
			for text, n := range r.handled {
				if n > 1 {
					twice = append(twice, fmt.Sprintf("%q by %d, %d times", text, i, n))
				}
			}
			for text, m := range s.sent {
				if m.author == i || !m.run.down.IsZero() && m.run.down.Sub(m.at) < spread {
					continue
				}
				end := r.down
				if end.IsZero() {
					end = time.Now()
				}
				if had := min(end.Sub(m.at), end.Sub(r.up)); had < settled || r.up.Sub(m.at) > comeBack {
					continue
				}
				expected++
				if r.handled[text] == 0 {
					story := fmt.Sprintf("%d, up from %s to %s, lacks of %d, up from %s to %s",
						i, s.at(r.up), s.at(r.down), m.author, s.at(m.run.up), s.at(m.run.down))
					missed[story] = append(missed[story], m.at)
				}
			}
			r.mu.Unlock()
		}
	}
	return missed, twice, expected
}
