// Package wire reads and writes the messages of the py2p and js2p of 2016-17,
// protocols 0.4 to 0.7: docs/legacy.md has their layout.
//
// Old nodes of different versions and languages accept different messages. The decoders accept what nodes of either
// language send, within limits. The encoders write what both accept.
package wire

import (
	"errors"
	"fmt"
)

// A Version is one of the old protocols. Nodes of different versions never talk to each other.
type Version uint8

// The versions.
const (
	V4 Version = 4 + iota
	V5
	V6
	V7
)

// Versions are all of them.
var Versions = []Version{V4, V5, V6, V7}

func (v Version) String() string { return fmt.Sprintf("0.%d", uint8(v)) }

// Typed reports whether packets have types. In 0.4 and 0.5 they are bytes.
func (v Version) Typed() bool { return v >= V6 }

// ParseVersion reads a version such as 0.7.
func ParseVersion(text string) (Version, error) {
	for _, v := range Versions {
		if text == v.String() {
			return v, nil
		}
	}
	return 0, fmt.Errorf("no version %q: 0.4, 0.5, 0.6 or 0.7", text)
}

// Limits of what is read, checked before memory is taken.
const (
	MaxFrame    = 16 << 20 // bytes of a body, also when decompressed
	MaxGreeting = 64 << 10 // bytes of a body before the handshake
	MaxPackets  = 4096
	maxDepth    = 32    // lists and maps in each other
	maxElements = 65536 // of a list or map
	maxText     = 128   // of a number in base 58
)

// Errors of decoding, which the old nodes answer by closing, hanging or a renegotiation.
var (
	ErrTooLarge    = errors.New("frame too large")
	ErrLayout      = errors.New("packet lengths do not fit the frame")
	ErrPackets     = errors.New("too few or too many packets")
	ErrChecksum    = errors.New("wrong id or checksum")
	ErrTime        = errors.New("no valid time")
	ErrSender      = errors.New("no valid sender")
	ErrFlag        = errors.New("no valid flag")
	ErrValue       = errors.New("wrong msgpack")
	ErrNested      = errors.New("nested too deep, or too many elements")
	ErrCompression = errors.New("wrong compression")
	ErrBomb        = errors.New("decompresses to too much")
	ErrBase58      = errors.New("not base 58")
	ErrHandshake   = errors.New("wrong handshake")
	ErrPeers       = errors.New("wrong list of peers")
	ErrArguments   = errors.New("wrong arguments")
)

// A Flag says what a message is for. The numbers are those of 0.6 and 0.7, for all versions.
type Flag int

// The flags. The first packet of a message, its sub flag, says how it is handled, its main
// flag how it is passed on.
const (
	Unknown     Flag = -1
	Broadcast   Flag = 0
	Renegotiate Flag = 1
	Compression Flag = 1 // as a sub flag
	Whisper     Flag = 2
	Ping        Flag = 3
	Pong        Flag = 4
	Handshake   Flag = 5
	Notify      Flag = 6
	Peers       Flag = 7
	Request     Flag = 8
	Resend      Flag = 9
	Response    Flag = 10
	Store       Flag = 11
	Retrieve    Flag = 12
	Retrieved   Flag = 13
	Forward     Flag = 14
	NewPaths    Flag = 15
	RevokePaths Flag = 16
	Delta       Flag = 17
	Waterfall   Flag = 18 // a broadcast that is passed on in 0.4, a main flag only
)

// The flags of 0.4, by their bytes.
var (
	main4 = map[byte]Flag{0: Broadcast, 1: Waterfall, 2: Whisper, 3: Renegotiate, 4: Ping, 5: Pong}
	sub4  = map[byte]Flag{
		0: Broadcast, 1: Compression, 2: Whisper, 3: Handshake, 4: Ping, 5: Pong, 6: Notify, 7: Peers, 8: Request,
		9: Resend, 10: Response, 11: Store, 12: Retrieve,
	}
	main5 = map[byte]Flag{0: Broadcast, 1: Renegotiate, 2: Whisper, 3: Ping, 4: Pong}
)

// MainPacket returns a main flag as it travels.
func (v Version) MainPacket(f Flag) any {
	switch v {
	case V4:
		return flagBytes(main4, f)
	case V5:
		return []byte{byte(f)}
	}
	return int64(f)
}

// SubPacket returns a sub flag as it travels.
func (v Version) SubPacket(f Flag) any {
	switch v {
	case V4:
		return flagBytes(sub4, f)
	case V5:
		return []byte{byte(f)}
	}
	return int64(f)
}

func flagBytes(table map[byte]Flag, f Flag) []byte {
	for b, g := range table {
		if f == g {
			return []byte{b}
		}
	}
	return []byte{byte(f)}
}

// main returns what a main flag that was read means.
func (v Version) main(packet any) Flag {
	switch v {
	case V4:
		return byteFlag(packet, func(b byte) (Flag, bool) { f, ok := main4[b]; return f, ok })
	case V5:
		return byteFlag(packet, func(b byte) (Flag, bool) { f, ok := main5[b]; return f, ok })
	}
	if f := numberFlag(packet); f <= Pong {
		return f
	}
	return Unknown
}

// Sub returns what a sub flag that was read means.
func (v Version) Sub(packet any) Flag {
	switch v {
	case V4:
		return byteFlag(packet, func(b byte) (Flag, bool) { f, ok := sub4[b]; return f, ok })
	case V5:
		return byteFlag(packet, func(b byte) (Flag, bool) { return Flag(b), Flag(b) <= Retrieved })
	case V6:
		if f := numberFlag(packet); f <= Retrieved {
			return f
		}
		return Unknown
	}
	return numberFlag(packet)
}

func byteFlag(packet any, known func(byte) (Flag, bool)) Flag {
	if b, ok := packet.([]byte); ok && len(b) == 1 {
		if f, ok := known(b[0]); ok {
			return f
		}
	}
	return Unknown
}

func numberFlag(packet any) Flag {
	if n, ok := Int(packet); ok && n >= 0 && n <= int64(Delta) {
		return Flag(n)
	}
	return Unknown
}
