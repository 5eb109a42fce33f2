package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReader_ReadsWhatWriteWrote(t *testing.T) {
	bodies := [][]byte{{}, {1}, bytes.Repeat([]byte{2}, step-1), bytes.Repeat([]byte{3}, 5*step+7)}
	var wire bytes.Buffer
	for _, b := range bodies {
		if err := Write(&wire, b); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(iotest.HalfReader(&wire), 6*step)
	for i, want := range bodies {
		got, err := r.Next()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("frame %d: %d bytes, %v; want %d bytes", i, len(got), err, len(want))
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("at the end: %v, want io.EOF", err)
	}
}

func TestReader_RefusesBadFrames(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"too large":        {Append(nil, make([]byte, 11)), ErrTooLarge},
		"4 EiB announced":  {binary.AppendUvarint(nil, 1<<62), ErrTooLarge},
		"cut in the body":  {[]byte{5, 1, 2}, io.ErrUnexpectedEOF},
		"cut in the count": {[]byte{0x80}, io.ErrUnexpectedEOF},
	} {
		if _, err := NewReader(bytes.NewReader(c.wire), 10).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A peer that announces much and sends little must cost little.
func TestReader_DoesNotAllocateAnnouncedBytes(t *testing.T) {
	wire := append(binary.AppendUvarint(nil, 1<<30), 1, 2, 3)
	if n := testing.AllocsPerRun(1, func() {
		_, _ = NewReader(bytes.NewReader(wire), 1<<30).Next()
	}); n > 10 {
		t.Errorf("%v allocations", n)
	}
	res := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			_, _ = NewReader(bytes.NewReader(wire), 1<<30).Next()
		}
	})
	if got := res.AllocedBytesPerOp(); got > 2*step {
		t.Errorf("%d bytes allocated for an announced GiB", got)
	}
}

func FuzzNext(f *testing.F) {
	f.Add(Append(nil, []byte("hello")))
	f.Add([]byte{0x80, 0x80, 0x80})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := NewReader(bytes.NewReader(wire), 1<<10)
		for {
			body, err := r.Next()
			if err != nil {
				return
			}
			again, err := NewReader(bytes.NewReader(Append(nil, body)), 1<<10).Next()
			if err != nil || !bytes.Equal(again, body) {
				t.Fatalf("%x came back as %x, %v", body, again, err)
			}
		}
	})
}
