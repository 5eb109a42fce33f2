package netkey

import (
	"bytes"
	"testing"
)

func TestSecrets(t *testing.T) {
	key := bytes.Repeat([]byte{1}, Size)
	tags := map[string]string{}
	for name, c := range map[string]struct {
		name string
		key  []byte
	}{
		"open": {"lab", nil}, "another name": {"lab2", nil},
		"key": {"lab", key}, "another key": {"lab", make([]byte, Size)},
		"key and another name": {"lab2", key},
	} {
		s, err := New(c.name, c.key)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := tags[s.Tag()]; taken {
			t.Errorf("%s and %s have the same tag", name, other)
		}
		tags[s.Tag()] = name
		if bytes.Equal(s.Derive("a"), s.Derive("b")) {
			t.Errorf("%s: two purposes share bytes", name)
		}
	}
	// A second implementation must come to the same; see docs/protocol.md.
	s, err := New("lab", key)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Tag(); got != vectorTag {
		t.Errorf("tag %s, want %s", got, vectorTag)
	}
	if _, err := New("", nil); err == nil {
		t.Error("an empty name was taken")
	}
	if _, err := New("lab", key[1:]); err == nil {
		t.Error("a short key was taken")
	}
}

// vectorTag is the tag of the network "lab" with the key 0101…01.
const vectorTag = "22f98b30b65764e6"

// A hello tag must change with each thing that it is bound to.
func TestHelloTagIsBound(t *testing.T) {
	s, _ := New("lab", nil)
	other, _ := New("lab2", nil)
	n := func(b byte) Nonce { return Nonce{b} }
	base := s.HelloTag(Opener, "a", "b", n(1), n(2))
	for name, tag := range map[string]HelloTag{
		"secret": other.HelloTag(Opener, "a", "b", n(1), n(2)),
		"role":   s.HelloTag(Answerer, "a", "b", n(1), n(2)),
		"ids":    s.HelloTag(Opener, "b", "a", n(1), n(2)),
		"id A":   s.HelloTag(Opener, "c", "b", n(1), n(2)),
		"id B":   s.HelloTag(Opener, "a", "c", n(1), n(2)),
		"nonces": s.HelloTag(Opener, "a", "b", n(2), n(1)),
		"nonceA": s.HelloTag(Opener, "a", "b", n(3), n(2)),
		"nonceB": s.HelloTag(Opener, "a", "b", n(1), n(3)),
	} {
		if tag == base {
			t.Errorf("the tag does not depend on the %s", name)
		}
	}
}
