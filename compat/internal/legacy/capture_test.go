package legacy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A capture is what old nodes have said to each other, as a proxy has seen it.
type capture struct {
	Nodes map[string]struct {
		Lang, Version, ID string
		ProtocolID        string `json:"protocol_id"`
	}
	Conns map[string]struct{ Dialer, Listener string }
	said  map[string][][]byte // by connection and direction: frames
}

func readCapture(t *testing.T, path string) *capture {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	c := &capture{said: map[string][][]byte{}}
	streams := map[string][]byte{}
	for first := true; lines.Scan(); first = false {
		if first {
			if err := json.Unmarshal(lines.Bytes(), c); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var r struct {
			Conn     int
			Dir, Hex string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if b, err := hex.DecodeString(r.Hex); err == nil && r.Dir != "" {
			way := fmt.Sprint(r.Conn, " ", r.Dir)
			streams[way] = append(streams[way], b...)
		}
	}
	for way, stream := range streams {
		for in := bytes.NewReader(stream); ; {
			body, err := wire.ReadFrame(in, wire.MaxFrame)
			if err != nil {
				break // the session ends in it
			}
			c.said[way] = append(c.said[way], body)
		}
	}
	return c
}

// This node understands all that old nodes have said to each other, in the place of either, and stays connected. Where
// the old nodes did not stay, it says why not.
func TestDecode_CapturedFramesAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("../../testdata/captures/*.gz")
	if err != nil || len(files) < 80 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	frames := 0
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl.gz")
		parts := strings.SplitN(name, "-", 3)
		kind := Kind(strings.TrimSuffix(parts[2], "4"))
		foreign := strings.HasPrefix(parts[2], "crossversion") || strings.HasPrefix(parts[2], "wrongsubnet")
		if kind != Sync && kind != Chord {
			kind = Mesh
		}
		c := readCapture(t, path)
		for way, bodies := range c.said {
			conn, dir, _ := strings.Cut(way, " ")
			speaker, hearer := c.Nodes[c.Conns[conn].Dialer], c.Nodes[c.Conns[conn].Listener]
			if dir == "b->a" {
				speaker, hearer = hearer, speaker
			}
			version := hearer.Version[:3]
			node := newRig(t, version, kind)
			node.subnetID = hearer.ProtocolID
			if kind == Chord && version == "0.4" {
				node.subnetID += wire.Base58([]byte{6})
			}
			node.methods = []wire.Method{wire.Snappy, wire.Zlib, wire.Gzip, wire.BZ2, wire.LZMA}
			now := frozen
			s, _ := node.Open(now, dir == "b->a", "")
			for i, body := range bodies {
				if m, err := s.decode(node.net.Version, node.methods, body); err == nil {
					now = time.Unix(m.Time, 0)
				}
				node.gather(node.Receive(now, s, body))
				frames++
				if len(node.done.Endings) > 0 && !foreign {
					t.Errorf("%s, connection %s: frame %d of %s %s is not taken: %v", name, way, i, speaker.Lang, speaker.Version, node.done.Endings[0].Why)
					break
				}
				for _, p := range node.done.Frames {
					spoken := node.net.Version
					if _, _, goodbye := Recognize(p.Body); goodbye && len(node.done.Endings) > 0 && speaker.Lang == "py" {
						spoken, _ = wire.ParseVersion(speaker.Version[:3])
					}
					if _, err := wire.Decode(spoken, p.Body); err != nil && wire.Choose(node.methods, s.methods) == 0 {
						t.Errorf("%s, connection %s: it answers what is wrong: %v", name, way, err)
					}
				}
				node.done.Frames = nil
			}
			var refused *RefusedError
			if foreign && len(bodies) > 0 && (len(node.done.Endings) == 0 || !errors.As(node.done.Endings[0].Why, &refused) || refused.Matches == "" && !strings.Contains(name, "wrongsubnet")) {
				for _, sh := range node.done.Endings {
					t.Errorf("%s, connection %s: %v", name, way, sh.Why)
				}
				if len(node.done.Endings) == 0 {
					t.Errorf("%s, connection %s: is not refused", name, way)
				}
			}
		}
	}
	t.Logf("%d frames of %d captures", frames, len(files))
}
