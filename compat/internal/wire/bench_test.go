package wire

import "testing"

func message(v Version) *Message {
	m := New(v, Broadcast, Broadcast, []byte("a reading of 21.5 degrees in the shed"))
	m.Sender, m.Time = "5UoCHQhYAH5qTJ3R4bWcTyXkSDbqrNCuYRJBTVmFCpeo1DQmD5c8GZHBgXRGPyu77V", 1480000000
	return m
}

func BenchmarkEncode(b *testing.B) {
	for _, v := range Versions {
		b.Run(v.String(), func(b *testing.B) {
			m := message(v)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Encode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, v := range Versions {
		b.Run(v.String(), func(b *testing.B) {
			body, err := Encode(message(v))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(v, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
