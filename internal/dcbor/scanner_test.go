package dcbor

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A tuple has everything that is written by hand.
type tuple struct {
	_ struct{} `cbor:",toarray"`
	U uint64
	I int64
	B []byte
	T string
	Y bool
	L []uint64
}

func (v tuple) append(dst []byte) []byte {
	dst = AppendUint(AppendArray(dst, 6), v.U)
	dst = AppendBytes(AppendInt(dst, v.I), v.B)
	dst = AppendBool(AppendText(dst, v.T), v.Y)
	dst = AppendArray(dst, len(v.L))
	for _, n := range v.L {
		dst = AppendUint(dst, n)
	}
	return dst
}

func scanTuple(data []byte) (v tuple, err error) {
	s := Scan(data)
	s.Tuple(6)
	v.U, v.I, v.B, v.T, v.Y = s.Uint(), s.Int(), s.Bytes(), string(s.Text()), s.Bool()
	v.L = make([]uint64, s.Array(64))
	for i := range v.L {
		v.L[i] = s.Uint()
	}
	return v, s.End()
}

func TestAppend_EncodesAsTheLibraryDoes(t *testing.T) {
	edges := []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.SampledFrom(edges), rapid.Uint64())
		v := tuple{
			U: number.Draw(t, "u"), I: int64(number.Draw(t, "i")), T: rapid.String().Draw(t, "t"), Y: rapid.Bool().Draw(t, "y"),
			B: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "b"), L: rapid.SliceOfN(number, 0, 64).Draw(t, "l"),
		}
		want, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%x, the library has %x", got, want)
		}
		back, err := scanTuple(want)
		if err != nil || !bytes.Equal(back.append(nil), want) {
			t.Fatalf("%+v, %v", back, err)
		}
		if _, err := scanTuple(want[:rapid.IntRange(0, len(want)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a truncated one was accepted")
		}
		if _, err := scanTuple(append(want, 0)); err == nil {
			t.Fatal("one with something behind it was accepted")
		}
	})
}

// What is accepted is in the one form there is.
func FuzzScanner(f *testing.F) {
	f.Add(tuple{U: 1 << 40, I: -5, B: []byte("b"), T: "é", Y: true, L: []uint64{1, 300}}.append(nil))
	f.Add([]byte{0x86, 0x18, 0x01, 0x00, 0x40, 0x60, 0xf4, 0x80}) // a head that is too long
	f.Add([]byte{0x86, 0x00, 0x00, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := scanTuple(data); err == nil && !bytes.Equal(v.append(nil), data) {
			t.Fatalf("%x was accepted as %x", data, v.append(nil))
		}
	})
}
