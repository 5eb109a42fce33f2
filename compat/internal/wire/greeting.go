package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxListed is how many peers of a list are read.
const maxListed = 1024

// A Language is what a node is written in, as far as that shows in what it sends.
type Language uint8

// The languages.
const (
	Unsaid Language = iota
	Python
	JavaScript
)

func (l Language) String() string { return [...]string{"", "py", "js"}[l] }

// An Addr is where a node says that it listens. Its Host is empty if the node does not listen.
type Addr struct {
	Host string
	Port int
}

// A Greeting is what a node says of itself in a handshake.
type Greeting struct {
	ID       string
	SubnetID string
	Addr     Addr
	Methods  []Method
	Language Language // as far as it shows
}

// GreetingArgs returns the packets of a handshake, without the sub flag.
func (v Version) GreetingArgs(g Greeting) []any {
	if v.Typed() {
		methods := []any{}
		for _, m := range g.Methods {
			methods = append(methods, int64(m))
		}
		return []any{g.ID, g.SubnetID, g.Addr.value(), methods}
	}
	methods := []string{}
	for _, m := range g.Methods {
		methods = append(methods, string(rune(m)))
	}
	return []any{[]byte(g.ID), []byte(g.SubnetID), toJSON(g.Addr.value()), toJSON(methods)}
}

func (a Addr) value() any {
	if a.Host == "" {
		return []any{nil, nil}
	}
	return []any{a.Host, int64(a.Port)}
}

func toJSON(v any) []byte {
	b, _ := json.Marshal(v) // of strings and numbers, which cannot fail
	return b
}

// ParseGreeting reads the packets of a handshake. Error: ErrHandshake.
func (v Version) ParseGreeting(args []any) (g Greeting, err error) {
	if len(args) != 4 {
		return g, fmt.Errorf("%w: %d packets", ErrHandshake, len(args))
	}
	var ok bool
	if g.ID, ok = Text(args[0]); !ok || g.ID == "" || len(g.ID) > maxText {
		return g, fmt.Errorf("%w: no id", ErrHandshake)
	}
	if g.SubnetID, ok = Text(args[1]); !ok {
		return g, fmt.Errorf("%w: no subnet", ErrHandshake)
	}
	addr, err := v.value(args[2])
	if err != nil {
		return g, fmt.Errorf("%w: address: %w", ErrHandshake, err)
	}
	g.Addr, _ = parseAddr(addr) // a browser has none
	if g.Methods, err = v.ParseMethods(args[3]); err != nil {
		return g, err
	}
	g.Language = v.language(args[0], args[3], g.Methods)
	return g, nil
}

// ParseMethods reads a list of methods, and leaves out those without a number. Error: ErrHandshake.
func (v Version) ParseMethods(packet any) (methods []Method, err error) {
	value, err := v.value(packet)
	list, isList := value.([]any)
	if err != nil || !isList || len(list) > 256 {
		return nil, fmt.Errorf("%w: compression", ErrHandshake)
	}
	for _, m := range list {
		if n, ok := methodNumber(m); ok {
			methods = append(methods, n)
		}
	}
	return methods, nil
}

func methodNumber(v any) (Method, bool) {
	if n, ok := Int(v); ok && n > 0 && n < 256 {
		return Method(n), true
	}
	text, _ := v.(string)
	r, size := utf8.DecodeRuneInString(text)
	return Method(r), size > 0 && size == len(text) && r < 256
}

// value returns the value of a packet, which in 0.4 and 0.5 is JSON.
func (v Version) value(packet any) (any, error) {
	if v.Typed() {
		return packet, nil
	}
	b, _ := packet.([]byte)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	return value, nil
}

func parseAddr(v any) (a Addr, ok bool) {
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return a, false
	}
	host, ok := Text(pair[0])
	port, isNumber := Int(pair[1])
	if n, isJSON := pair[1].(json.Number); isJSON {
		var err error
		port, err = n.Int64()
		isNumber = err == nil
	}
	if !ok || !isNumber || host == "" || len(host) > 255 || port <= 0 || port > 65535 {
		return a, false
	}
	return Addr{host, int(port)}, true
}

// language returns what a node is written in. js has its ID as text, and no spaces in JSON. A node that announces no
// compression, or its best methods last, may be one of this library.
func (v Version) language(id, list any, methods []Method) Language {
	_, isText := id.(string)
	text, _ := list.([]byte)
	switch {
	case v.Typed() && !isText, !v.Typed() && bytes.Contains(text, []byte(`", "`)):
		return Python
	case len(methods) > 0 && methods[0] != Gzip && (v.Typed() || bytes.Contains(text, []byte(`","`))):
		return JavaScript
	}
	return Unsaid
}

// String returns host:port, or nothing.
func (a Addr) String() string {
	if a.Host == "" {
		return ""
	}
	host := a.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(a.Port)
}

// A Listed is a peer that a node tells of.
type Listed struct {
	Addr Addr
	ID   string
	Bin  bool // in 0.6 and 0.7: the ID travels as bytes, as from py
}

// PeersArg returns the packet that lists peers.
func (v Version) PeersArg(peers []Listed) any {
	list := []any{}
	for _, p := range peers {
		list = append(list, v.listed(p))
	}
	if v.Typed() {
		return list
	}
	return toJSON(list)
}

// ListedArg returns the packet that says where one peer is.
func (v Version) ListedArg(p Listed) any {
	if v.Typed() {
		return v.listed(p)
	}
	return toJSON(v.listed(p))
}

func (v Version) listed(p Listed) any {
	if p.Bin && v.Typed() {
		return []any{p.Addr.value(), []byte(p.ID)}
	}
	return []any{p.Addr.value(), p.ID}
}

// ParsePeers reads a list of peers. It leaves out entries that have a wrong form, and those beyond a limit. Error:
// ErrPeers.
func (v Version) ParsePeers(packet any) (peers []Listed, err error) {
	value, err := v.value(packet)
	list, ok := value.([]any)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: not a list", ErrPeers)
	}
	for _, entry := range list[:min(len(list), maxListed)] {
		if p, ok := parseListed(entry); ok {
			peers = append(peers, p)
		}
	}
	return peers, nil
}

// ParseListed reads where one peer is. Error: ErrPeers.
func (v Version) ParseListed(packet any) (Listed, error) {
	value, err := v.value(packet)
	if p, ok := parseListed(value); err == nil && ok {
		return p, nil
	}
	return Listed{}, ErrPeers
}

func parseListed(v any) (p Listed, ok bool) {
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return p, false
	}
	if p.Addr, ok = parseAddr(pair[0]); !ok {
		return p, false
	}
	if p.ID, ok = Text(pair[1]); !ok {
		p.ID = bufferText(pair[1])
	}
	_, p.Bin = pair[1].([]byte)
	return p, p.ID != "" && len(p.ID) <= maxText
}

// bufferText returns an ID that js of 0.4 and 0.5 has written to JSON as a Buffer, byte by byte.
func bufferText(v any) string {
	m, _ := v.(map[string]any)
	data, _ := m["data"].([]any)
	var text []byte
	for _, d := range data[:min(len(data), maxText)] {
		n, _ := d.(json.Number)
		b, err := n.Int64()
		if err != nil || b < 0 || b > 255 {
			return ""
		}
		text = append(text, byte(b))
	}
	return string(text)
}
