package wire

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

const header = 4 // packets before the payload: flag, sender, id, time

func decode4(body []byte) (*Message, error) {
	var lengths []int
	sum, rest := 0, body
	for len(lengths)*4 != len(body)-sum {
		if len(rest) < 4 || len(lengths) == header+MaxPackets {
			return nil, ErrLayout
		}
		n := binary.BigEndian.Uint32(rest)
		if int64(n) > int64(len(body)-sum) {
			return nil, ErrLayout
		}
		sum, rest, lengths = sum+int(n), rest[4:], append(lengths, int(n))
	}
	packets := make([][]byte, len(lengths))
	for i, n := range lengths {
		packets[i], rest = rest[:n:n], rest[n:]
	}
	return fromPackets(packets)
}

func decode5(body []byte) (*Message, error) {
	var packets [][]byte
	for rest := body; len(rest) > 0; {
		if len(rest) < 4 || len(packets) == header+MaxPackets {
			return nil, ErrLayout
		}
		n := binary.BigEndian.Uint32(rest)
		if rest = rest[4:]; int64(n) > int64(len(rest)) {
			return nil, ErrLayout
		}
		packets, rest = append(packets, rest[:n:n]), rest[n:]
	}
	return fromPackets(packets)
}

func fromPackets(packets [][]byte) (*Message, error) {
	if len(packets) < header {
		return nil, fmt.Errorf("%w: %d", ErrPackets, len(packets))
	}
	m := &Message{Flag: packets[0], Sender: string(packets[1]), ID: string(packets[2])}
	var err error
	if m.Time, err = ParseTime(string(packets[3])); err != nil {
		return nil, err
	}
	payload := packets[header:]
	if packetsID(payload, m.Time, false) != m.ID {
		if packetsID(payload, m.Time, true) != m.ID {
			return nil, ErrChecksum
		}
		m.TextID = true
	}
	m.Packets = make([]any, len(payload))
	for i, p := range payload {
		m.Packets[i] = p
	}
	return m, nil
}

func encode45(m *Message) ([]byte, error) {
	flag, ok := m.Flag.([]byte)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrFlag, m.Flag)
	}
	payload := make([][]byte, len(m.Packets))
	for i, p := range m.Packets {
		if payload[i], ok = p.([]byte); !ok {
			return nil, fmt.Errorf("%w: packet %d is %T, and %s has only bytes", ErrValue, i, p, m.Version)
		}
	}
	m.ID = packetsID(payload, m.Time, m.TextID)
	packets := append([][]byte{flag, []byte(m.Sender), []byte(m.ID), []byte(TimeText(m.Time))}, payload...)
	var body []byte
	if m.Version == V4 {
		for _, p := range packets {
			body = binary.BigEndian.AppendUint32(body, uint32(len(p)))
		}
	}
	for _, p := range packets {
		if m.Version == V5 {
			body = binary.BigEndian.AppendUint32(body, uint32(len(p)))
		}
		body = append(body, p...)
	}
	return body, nil
}

// packetsID returns the ID of a message. It depends on the payload and time, but neither on the sender nor on where a
// packet ends. js hashes the packets as text.
func packetsID(payload [][]byte, time int64, asText bool) string {
	h := sha512.New384()
	for _, p := range payload {
		if asText {
			p = jsText(p)
		}
		h.Write(p)
	}
	h.Write([]byte(TimeText(time)))
	return Base58(h.Sum(nil))
}

// SameForJS reports whether py and js compute the same ID for a message with these packets. A js node of 0.4 or 0.5
// does not survive another ID.
func SameForJS(packets []any) bool {
	for _, p := range packets {
		if b, ok := p.([]byte); ok && !utf8.Valid(b) {
			return false
		}
	}
	return true
}
