package mesh

import (
	"bytes"
	"testing"
)

func TestSecrets(t *testing.T) {
	key := bytes.Repeat([]byte{1}, KeySize)
	tags := map[string]string{}
	for name, c := range map[string]struct {
		name string
		key  []byte
	}{
		"open": {"lab", nil}, "another name": {"lab2", nil},
		"key": {"lab", key}, "another key": {"lab", make([]byte, KeySize)},
		"key and another name": {"lab2", key},
	} {
		s, err := newSecret(c.name, c.key)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := tags[s.tag()]; taken {
			t.Errorf("%s and %s have the same tag", name, other)
		}
		tags[s.tag()] = name
		if bytes.Equal(s.derive("a"), s.derive("b")) {
			t.Errorf("%s: two purposes share bytes", name)
		}
	}
	// A second implementation must come to the same; see docs/protocol.md.
	s, err := newSecret("lab", key)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.tag(); got != vectorTag {
		t.Errorf("tag %s, want %s", got, vectorTag)
	}
	if _, err := newSecret("", nil); err == nil {
		t.Error("an empty name was taken")
	}
	if _, err := newSecret("lab", key[1:]); err == nil {
		t.Error("a short key was taken")
	}
}

// vectorTag is the tag of the network "lab" with the key 0101…01.
const vectorTag = "22f98b30b65764e6"

// A hello tag must change with each thing that it is bound to.
func TestHelloTagIsBound(t *testing.T) {
	s, _ := newSecret("lab", nil)
	other, _ := newSecret("lab2", nil)
	n := func(b byte) nonce { return nonce{b} }
	base := s.helloTag(opener, "a", "b", n(1), n(2))
	for name, tag := range map[string]helloTag{
		"secret": other.helloTag(opener, "a", "b", n(1), n(2)),
		"role":   s.helloTag(answerer, "a", "b", n(1), n(2)),
		"ids":    s.helloTag(opener, "b", "a", n(1), n(2)),
		"id A":   s.helloTag(opener, "c", "b", n(1), n(2)),
		"id B":   s.helloTag(opener, "a", "c", n(1), n(2)),
		"nonces": s.helloTag(opener, "a", "b", n(2), n(1)),
		"nonceA": s.helloTag(opener, "a", "b", n(3), n(2)),
		"nonceB": s.helloTag(opener, "a", "b", n(1), n(3)),
	} {
		if tag == base {
			t.Errorf("the tag does not depend on the %s", name)
		}
	}
}
