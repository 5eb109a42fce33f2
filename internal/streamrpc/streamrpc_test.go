package streamrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

// pipeStream is one end of a pipe. A write to it waits until the other end has read it.
type pipeStream struct{ net.Conn }

func (p pipeStream) Reset() error { return p.Close() }

// question encodes a question or an answer: a number, and a text.
func question(id uint64, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, id), text...)
}

var errForm = errors.New("wrong form")

func parse(body []byte) (uint64, string, error) {
	if len(body) < 8 {
		return 0, "", errForm
	}
	return binary.BigEndian.Uint64(body), string(body[8:]), nil
}

var testLimits = Limits{MaxFrame: 1 << 20, MaxUnsent: 1000, WriteTime: 10 * time.Second}

// A simNetwork has a client, and the ends of the streams that it opens.
type simNetwork struct {
	group   *lifecycle.Group
	clients *Clients[string, string]
	opened  chan pipeStream // to each peer, in the order of opening
	refuse  error           // of Open
	ended   []error         // told to Env.Ended
}

func newSimNetwork(t *testing.T, l Limits, greet func(string, *Client[string]) error) *simNetwork {
	n := &simNetwork{group: lifecycle.New(), opened: make(chan pipeStream, 10)}
	t.Cleanup(n.group.Close)
	n.clients = NewClients(Env[string, string]{
		Group: n.group,
		Open: func(context.Context, string) (Stream, error) {
			if n.refuse != nil {
				return nil, n.refuse
			}
			a, b := net.Pipe()
			n.opened <- pipeStream{b}
			return pipeStream{a}, nil
		},
		Parse: func(_ string, body []byte) (uint64, string, error) { return parse(body) },
		Greet: greet,
		Ended: func(_ string, err error) { n.ended = append(n.ended, err) },
	}, l)
	return n
}

// ask asks one question of a peer.
func (n *simNetwork) ask(ctx context.Context, to, text string) (string, error) {
	c, err := n.clients.To(ctx, to)
	if err != nil {
		return "", err
	}
	id := c.NextID()
	return c.Ask(ctx, id, question(id, text))
}

// echo answers a question with its text, twice.
func echo(q []byte) ([]byte, func(context.Context) []byte, error) {
	id, text, err := parse(q)
	return question(id, text+text), nil, err
}

func serve(t *testing.T, n *simNetwork, handle Handler) (end chan error) {
	end = make(chan error, 1)
	go func() { end <- Serve(n.group.Context(), <-n.opened, testLimits, 4, handle) }()
	return end
}

func TestClients_AskOverOneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		serve(t, n, echo)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				text := fmt.Sprint("text ", i)
				if a, err := n.ask(t.Context(), "a", text); a != text+text || err != nil {
					t.Errorf("%q, %v", a, err)
				}
			})
		}
		wg.Wait()
		if len(n.opened) != 0 {
			t.Error("several streams were opened")
		}
	})
}

func TestClients_AnswersMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		serve(t, n, func(q []byte) ([]byte, func(context.Context) []byte, error) {
			id, text, err := parse(q)
			d, _ := time.ParseDuration(text)
			return nil, func(context.Context) []byte { time.Sleep(d); return question(id, "slept "+text) }, err
		})
		start := time.Now()
		var wg sync.WaitGroup
		for _, text := range []string{"3s", "1s", "2s"} {
			wg.Go(func() {
				if a, err := n.ask(t.Context(), "a", text); a != "slept "+text || err != nil {
					t.Errorf("%q, %v", a, err)
				}
				if took := time.Since(start).String(); took != text {
					t.Errorf("%s took %s", text, took)
				}
			})
		}
		wg.Wait()
	})
}

func TestClients_AskEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		serve(t, n, func(q []byte) ([]byte, func(context.Context) []byte, error) {
			id, text, err := parse(q)
			return nil, func(context.Context) []byte { time.Sleep(time.Minute); return question(id, text) }, err
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.ask(ctx, "a", "slow"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute) // the late answer harms nobody
		if a, err := n.ask(t.Context(), "a", "again"); a != "again" || err != nil {
			t.Errorf("%q, %v", a, err)
		}
	})
}

func TestClients_EndOfStreamWakesAllAndAnotherIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		enough, questions := errors.New("enough"), 0
		end := serve(t, n, func(q []byte) ([]byte, func(context.Context) []byte, error) {
			if questions++; questions == 3 {
				return nil, nil, enough
			}
			return nil, nil, nil // it does not answer
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := n.ask(t.Context(), "a", "?"); !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := <-end; !errors.Is(err, enough) {
			t.Errorf("the server ends with %v", err)
		}
		serve(t, n, echo)
		if a, err := n.ask(t.Context(), "a", "x"); a != "xx" || err != nil {
			t.Errorf("%q, %v", a, err)
		}
	})
}

func TestServe_BoundsWhatIsAnsweredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		var running, most atomic.Int32
		end := serve(t, n, func(q []byte) ([]byte, func(context.Context) []byte, error) {
			return nil, func(ctx context.Context) []byte {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				lifecycle.Sleep(ctx, time.Second)
				return q
			}, nil
		})
		var wg sync.WaitGroup
		start := time.Now()
		for range 8 {
			wg.Go(func() { n.ask(t.Context(), "a", "?") })
		}
		wg.Wait()
		if most.Load() != 4 || time.Since(start) != 2*time.Second {
			t.Errorf("%d at a time, in %v", most.Load(), time.Since(start))
		}
		go n.ask(t.Context(), "a", "?")
		synctest.Wait()
		n.group.Cancel() // ends what is answered later
		if <-end; running.Load() != 0 || time.Since(start) != 2*time.Second {
			t.Errorf("%d run on after %v", running.Load(), time.Since(start))
		}
	})
}

func TestClients_GreetIsTheFirstQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse error
		n := newSimNetwork(t, testLimits, func(to string, c *Client[string]) error {
			if a, err := c.Ask(t.Context(), 1000, question(1000, "hello")); a != "hellohello" || err != nil {
				t.Errorf("%q, %v", a, err)
			}
			return refuse
		})
		var asked []string
		handle := func(q []byte) ([]byte, func(context.Context) []byte, error) {
			_, text, _ := parse(q)
			asked = append(asked, text)
			return echo(q)
		}
		end := serve(t, n, handle)
		if a, err := n.ask(t.Context(), "a", "x"); a != "xx" || err != nil {
			t.Errorf("%q, %v", a, err)
		}
		if len(asked) != 2 || asked[0] != "hello" {
			t.Errorf("it was asked %q", asked)
		}
		refuse = errors.New("another k")
		serve(t, n, handle)
		if _, err := n.ask(t.Context(), "b", "x"); !errors.Is(err, refuse) {
			t.Errorf("after a greeting that failed: %v", err)
		}
		synctest.Wait()
		if len(n.clients.open) != 1 || len(n.ended) != 1 {
			t.Errorf("%d streams are open, and %v ended", len(n.clients.open), n.ended)
		}
		select {
		case err := <-end:
			t.Errorf("the other stream has ended: %v", err)
		default:
		}
	})
}

func TestClients_OpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSimNetwork(t, testLimits, nil)
		n.refuse = errors.New("no way")
		if _, err := n.ask(t.Context(), "a", "x"); !errors.Is(err, n.refuse) {
			t.Error(err)
		}
		n.refuse = nil
		serve(t, n, echo)
		if a, err := n.ask(t.Context(), "a", "x"); a != "xx" || err != nil {
			t.Errorf("%q, %v", a, err)
		}
		n.group.Close()
		if _, err := n.ask(t.Context(), "b", "x"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestClients_AnswerOfAnotherFormEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			answer []byte
			want   error
		}{
			"form": {frame.Append(nil, []byte("short")), errForm},
			"size": {binary.AppendUvarint(nil, 1<<30), frame.ErrTooLarge},
			"end":  {nil, io.EOF},
		} {
			n := newSimNetwork(t, testLimits, nil)
			go func() {
				s := <-n.opened
				frame.NewReader(s, 1000).Next()
				s.Write(c.answer)
				s.Close()
			}()
			if _, err := n.ask(t.Context(), "a", "x"); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if len(n.ended) != 1 || !errors.Is(n.ended[0], c.want) {
				t.Errorf("%s: the owner is told %v", name, n.ended)
			}
		}
	})
}

func TestClients_IdleStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLimits
		l.Idle = time.Minute
		n := newSimNetwork(t, l, nil)
		end := serve(t, n, echo)
		start := time.Now()
		n.ask(t.Context(), "a", "x")
		time.Sleep(30 * time.Second)
		n.ask(t.Context(), "a", "x")
		if <-end; time.Since(start) != 90*time.Second {
			t.Errorf("it has ended after %v", time.Since(start))
		}
	})
}

func TestWriter_WaitsForRoomWithinContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		w := newWriter(pipeStream{a}, Limits{MaxUnsent: 100, WriteTime: time.Hour})
		var sent atomic.Int32
		send := func() {
			if err := w.send(t.Context(), make([]byte, 99)); err != nil {
				t.Error(err)
			}
			sent.Add(1)
		}
		for range 4 { // one is being written, two wait, one waits for room
			go send()
			synctest.Wait()
		}
		if n := sent.Load(); n != 2 {
			t.Errorf("%d were taken", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.send(ctx, make([]byte, 99)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without room: %v", err)
		}
		data := make([]byte, 400)
		if _, err := io.ReadFull(b, data); err != nil || !bytes.Equal(data, bytes.Repeat(frame.Append(nil, make([]byte, 99)), 4)) {
			t.Errorf("it reads %x, %v", data, err)
		}
		synctest.Wait()
		if n := sent.Load(); n != 4 {
			t.Errorf("%d were taken", n)
		}
	})
}

func TestWriter_WriteIsBoundedByTimeOrContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			limits Limits
			want   time.Duration
		}{
			"time":    {Limits{MaxUnsent: 1000, WriteTime: 3 * time.Second}, 3 * time.Second},
			"context": {Limits{MaxUnsent: 1000}, 5 * time.Second},
		} {
			a, b := net.Pipe()
			w := newWriter(pipeStream{a}, c.limits)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start := time.Now()
			if err := w.send(ctx, []byte("x")); err == nil || time.Since(start) != c.want {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			if _, err := b.Read(make([]byte, 9)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: the stream was not reset: %v", name, err)
			}
			if err := w.send(t.Context(), []byte("x")); err == nil {
				t.Errorf("%s: it writes on", name)
			}
			cancel()
		}
	})
}

func TestWriter_CallerDoesNotWriteForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		w := newWriter(pipeStream{a}, Limits{MaxUnsent: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- w.send(ctx, []byte("first")) }()
		synctest.Wait()
		if err := w.send(t.Context(), []byte("second")); err != nil {
			t.Fatal(err)
		}
		in := frame.NewReader(io.LimitReader(b, 6), 100)
		if body, err := in.Next(); string(body) != "first" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		cancel() // nor does its context end what others have sent
		if body, err := frame.NewReader(b, 100).Next(); string(body) != "second" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		w.stream.Reset()
		w.close(io.EOF)
	})
}

func TestLimiter_BoundsStreamsOfEachPeer(t *testing.T) {
	l := NewLimiter[string](2)
	for i, c := range []struct {
		peer string
		want bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}} {
		if got := l.Enter(c.peer); got != c.want {
			t.Errorf("call %d, of %s: %v", i, c.peer, got)
		}
	}
	l.Leave("a")
	if !l.Enter("a") {
		t.Error("one has left")
	}
	l.Leave("a")
	l.Leave("a")
	l.Leave("b")
	if len(l.serving) != 0 {
		t.Errorf("%v are left", l.serving)
	}
}

// tcpStream is one end of a connection that has buffers, as streams of libp2p have.
type tcpStream struct{ net.Conn }

func (s tcpStream) Reset() error { return s.Close() }

func BenchmarkAsk(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	g := lifecycle.New()
	defer g.Close()
	g.Go(func() {
		if s, err := l.Accept(); err == nil {
			Serve(g.Context(), tcpStream{s}, testLimits, 4, echo)
		}
	})
	clients := NewClients(Env[string, string]{
		Group: g,
		Open: func(context.Context, string) (Stream, error) {
			s, err := net.Dial("tcp", l.Addr().String())
			return tcpStream{s}, err
		},
		Parse: func(_ string, body []byte) (uint64, string, error) { return parse(body) },
	}, testLimits)
	ask := func(b *testing.B) {
		c, err := clients.To(b.Context(), "a")
		if err != nil {
			b.Fatal(err)
		}
		id := c.NextID()
		if _, err := c.Ask(b.Context(), id, question(id, "text")); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ask(b)
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				ask(b)
			}
		})
	})
}
