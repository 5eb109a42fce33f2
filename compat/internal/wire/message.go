package wire

import "fmt"

// A Message is what one old node sends another. In 0.4 and 0.5 packets are []byte. In 0.6 and 0.7 they are nil, bool,
// int64, uint64 (beyond int64), float64, string, []byte, []any, Map or Ext.
type Message struct {
	Version   Version
	Flag      any // the main flag as it travels
	Sender    string
	SenderBin bool  // in 0.6 and 0.7: the sender travels as bytes, as from py, not as text
	Time      int64 // UTC, in seconds
	Packets   []any // the first is the sub flag
	ID        string
	TextID    bool   // in 0.4 and 0.5: the id is that of js, of which py has another
	Body      []byte // what was read
	Tail      []byte // in 0.6 and 0.7: written behind what nodes read
	Aligned   bool   // in 0.6 and 0.7: written so that the frame is a multiple of eight bytes long
}

// New returns a message without a time or sender.
func New(v Version, main, sub Flag, packets ...any) *Message {
	return &Message{Version: v, Flag: v.MainPacket(main), Packets: append([]any{v.SubPacket(sub)}, packets...)}
}

// Main returns the main flag, which says how a message is passed on.
func (m *Message) Main() Flag { return m.Version.main(m.Flag) }

// Sub returns the sub flag, which says how a message is handled.
func (m *Message) Sub() Flag {
	if len(m.Packets) == 0 {
		return Unknown
	}
	return m.Version.Sub(m.Packets[0])
}

// Args returns the packets after the sub flag.
func (m *Message) Args() []any {
	if len(m.Packets) == 0 {
		return nil
	}
	return m.Packets[1:]
}

// Decode reads the body of a frame, and keeps it. Its errors are those of this package.
func Decode(v Version, body []byte) (m *Message, err error) {
	if len(body) > MaxFrame {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	switch v {
	case V4:
		m, err = decode4(body)
	case V5:
		m, err = decode5(body)
	default:
		m, err = decode6(body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v, err)
	}
	m.Version, m.Body = v, body
	return m, nil
}

// Encode returns the body of a frame, and sets the ID of the message. Errors: ErrTime, ErrPackets, ErrTooLarge,
// ErrValue.
func Encode(m *Message) ([]byte, error) {
	if m.Time <= 0 {
		return nil, fmt.Errorf("%w: %d", ErrTime, m.Time) // 0 means now to the old constructors
	}
	if len(m.Packets) > MaxPackets {
		return nil, fmt.Errorf("%w: %d", ErrPackets, len(m.Packets))
	}
	var body []byte
	var err error
	switch {
	case m.Version.Typed():
		body, err = encode6(m)
	default:
		body, err = encode45(m)
	}
	if err == nil && len(body) > MaxFrame {
		err = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	return body, err
}
