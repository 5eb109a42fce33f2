package legacy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// TestSession_Stories tells what a node says to old nodes, which the story plays by hand, and what it does. Run it with
// -rewrite to have the answers written anew. The commands are:
//
//	node version=V [kind=K] [compression] [autodial] makes the node
//	dial who=W, accept who=W                   opens a connection with an old node
//	handshake from=W language=py|js [by=W] [subnet=S] W says who it is
//	say from=W [by=W] [as=M] [at=D] [packed=C] W says each line of the input: a flag and its packets
//	broadcast, whisper to=W                    the node sends the packets of the input
//	write key=K, delete key=K                  the node writes the value of the input, or deletes
//	lookup key=K, join                         the node looks up, or stores
//	relay by=W tag=T                           the node broadcasts on behalf of a native author
//	mirror key=K owner=W                       the node writes on behalf of an owner: an old node, or native:W
//	repeat key=K owner=W                       the same, but at other nodes only
//	announce                                   the node tells other bridges of itself
//	wait D                                     time passes, and what is due is done
//	lost who=W, leave                          a connection is over, or the node ends all
//	status                                     the peers, the keys, and what was dropped
func TestSession_Stories(t *testing.T) {
	datadriven.Walk(t, "testdata/session", func(t *testing.T, path string) {
		s := &story{now: frozen, sessions: map[string]*Session{}, ghosts: map[string]string{}, short: map[string]string{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// A story is a node and the old nodes that it knows, by name. The ID of an old node is 3 and its name.
type story struct {
	*rig
	now      time.Time
	sessions map[string]*Session
	names    []string
	ghosts   map[string]string // native authors, by their IDs
	short    map[string]string // long texts, by what stands for them: #1, #2, …
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	var out Effects
	var err error
	var who, to, key string
	d.MaybeScanArgs(t, "who", &who)
	d.MaybeScanArgs(t, "from", &who)
	d.MaybeScanArgs(t, "to", &to)
	d.MaybeScanArgs(t, "key", &key)
	switch d.Cmd {
	case "node":
		var version string
		kind := "mesh"
		d.ScanArgs(t, "version", &version)
		d.MaybeScanArgs(t, "kind", &kind)
		s.rig = newRig(t, version, Kind(kind))
		if d.HasArg("compression") {
			s.methods = wire.Methods
		}
		s.autodial = d.HasArg("autodial")
		return ""
	case "dial", "accept":
		s.sessions[who], out = s.Open(s.now, d.Cmd == "dial", "127.0.0.1:9")
		s.names = append(s.names, who)
	case "handshake":
		out = s.Receive(s.now, s.sessions[who], s.encode(t, s.handshake(t, d, who)))
	case "say":
		var text strings.Builder
		for line := range strings.Lines(d.Input) {
			text.WriteString(s.render(s.Receive(s.now, s.sessions[who], s.say(t, d, who, line)), nil))
		}
		return text.String()
	case "broadcast":
		out, err = s.Broadcast(s.now, s.packets(t, d.Input))
	case "whisper":
		out, err = s.Whisper(s.now, "3"+to, s.packets(t, d.Input))
	case "write":
		out, err = s.write(t, key, d.Input)
	case "delete":
		out, err = s.dict.Delete(s.now, key)
	case "lookup":
		_, out, err = s.dht.Lookup(s.now, s.now.Add(LookupTime), key, false)
	case "join":
		out = s.dht.Join(s.now)
	case "relay":
		var by, tag string
		d.ScanArgs(t, "by", &by)
		d.ScanArgs(t, "tag", &tag)
		var news bool
		out, news, err = s.BroadcastAs(s.now, s.ghost(by), s.now.Unix(), Tag(tag), s.packets(t, d.Input))
		if !news {
			return s.render(out, err) + "no news\n"
		}
	case "mirror", "repeat":
		var owner string
		d.ScanArgs(t, "owner", &owner)
		id, isNative := "3"+owner, false
		if owner, isNative = strings.CutPrefix(owner, "native:"); isNative {
			id = s.ghost(owner)
		}
		was, _ := s.dict.Entry(key)
		e := Entry{Value: s.packets(t, d.Input)[0], Owner: id, Time: s.now.Unix()}
		if d.Cmd == "repeat" {
			out, err = s.dict.Repeat(s.now, key, e)
		} else {
			out, err = s.dict.Mirror(s.now, key, was, e)
		}
	case "announce":
		out = s.Announce(s.now, Presence{Tag: "lab", Bridge: "bridge"})
	case "wait":
		by, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(by)
		return s.render(s.Advance(s.now), nil) + s.backlogs()
	case "lost":
		out = s.Closed(s.now, s.sessions[who], errors.New("connection reset"))
		delete(s.sessions, who)
	case "leave":
		out = s.ShutAll(s.now, errLeft)
	case "status":
		return s.status()
	default:
		t.Fatalf("no command %s", d.Cmd)
	}
	return s.render(out, err)
}

// ghost is the ID of a native author in this network.
func (s *story) ghost(author string) string {
	id := GhostID(author, s.subnetID)
	s.ghosts[id] = author
	return id
}

func (s *story) write(t *testing.T, key, value string) (Effects, error) {
	v := s.packets(t, value)[0]
	if s.dict != nil {
		return s.dict.Write(s.now, key, v)
	}
	return s.dht.Write(s.now, key, v)
}

// handshake is what an old node of a language says of itself.
func (s *story) handshake(t *testing.T, d *datadriven.TestData, who string) *wire.Message {
	language, subnet := "", string(s.net.Subnet)
	d.ScanArgs(t, "language", &language)
	d.MaybeScanArgs(t, "subnet", &subnet)
	d.MaybeScanArgs(t, "by", &who)
	network := s.net
	network.Subnet = subnet
	args := s.net.Version.GreetingArgs(wire.Greeting{
		ID: "3" + who, SubnetID: network.ID(), Addr: wire.Addr{Host: who + ".example", Port: 4}, Methods: []wire.Method{wire.Zlib, wire.Gzip},
	})
	if text, ok := args[3].([]byte); ok && language == "py" {
		args[3] = []byte(strings.ReplaceAll(string(text), ",", ", ")) // as the JSON of Python has it
	} else if language == "py" {
		args[0] = []byte("3" + who)
	}
	m := wire.New(s.net.Version, wire.Whisper, wire.Handshake, args...)
	m.Sender, m.Time = "3"+who, s.now.Unix()
	return m
}

// say is a line of an old node, as it travels.
func (s *story) say(t *testing.T, d *datadriven.TestData, who, line string) []byte {
	by, as, at, packed := who, "whisper", "0s", ""
	d.MaybeScanArgs(t, "by", &by)
	d.MaybeScanArgs(t, "as", &as)
	d.MaybeScanArgs(t, "at", &at)
	d.MaybeScanArgs(t, "packed", &packed)
	later, err := time.ParseDuration(at)
	if err != nil {
		t.Fatal(err)
	}
	sub, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	m := wire.New(s.net.Version, flagOf(t, as), flagOf(t, sub), s.packets(t, rest)...)
	m.Sender, m.Time = "3"+by, s.now.Add(later).Unix()
	body := s.encode(t, m)
	if packed != "" {
		if body, err = wire.Compress(wire.Zlib, body); err != nil {
			t.Fatal(err)
		}
	}
	return body
}

func (s *story) encode(t *testing.T, m *wire.Message) []byte {
	body, err := wire.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var flags = map[wire.Flag]string{
	wire.Broadcast: "broadcast", wire.Whisper: "whisper", wire.Waterfall: "waterfall", wire.Compression: "compression", wire.Ping: "ping", wire.Handshake: "handshake",
	wire.Notify: "notify", wire.Peers: "peers", wire.Request: "request", wire.Response: "response", wire.Store: "store", wire.Retrieve: "retrieve",
	wire.Retrieved: "retrieved", wire.Delta: "delta",
}

func flagOf(t *testing.T, name string) wire.Flag {
	for f, text := range flags {
		if text == name {
			return f
		}
	}
	t.Fatalf("no flag %s", name)
	return 0
}

var packet = regexp.MustCompile(`"[^"]*"|\S+`)

// packets are those of a line: "text", 'bytes', numbers, nil, #1 for a long text that was shown so, and name@host:port
// for where a node is. In 0.4 and 0.5 all are bytes.
func (s *story) packets(t *testing.T, line string) (list []any) {
	for _, p := range packet.FindAllString(line, -1) {
		name, addr, isPeer := strings.Cut(p, "@")
		var v any
		switch {
		case p == "nil":
		case p[0] == '[':
			v = s.peers(strings.Trim(p, "[]"))
		case p[0] == '"':
			v = p[1 : len(p)-1]
		case p[0] == '\'':
			v = []byte(p[1 : len(p)-1])
		case p[0] == '#':
			v = s.short[p]
		case isPeer:
			host, port, _ := strings.Cut(addr, ":")
			n, _ := strconv.Atoi(port)
			v = s.net.Version.ListedArg(wire.Listed{Addr: wire.Addr{Host: host, Port: n}, ID: "3" + name})
		case p == "{}":
			v = wire.Map{{Key: "a", Value: int64(1)}}
		default:
			n, err := strconv.ParseInt(p, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			v = n
		}
		if text, ok := v.(string); ok && !s.net.Version.Typed() {
			v = []byte(text)
		}
		list = append(list, v)
	}
	return list
}

// peers is a list of nodes, name@host:port with commas between them.
func (s *story) peers(text string) any {
	var list []wire.Listed
	for _, p := range strings.Split(text, ",") {
		name, addr, _ := strings.Cut(p, "@")
		host, port, _ := strings.Cut(addr, ":")
		n, _ := strconv.Atoi(port)
		list = append(list, wire.Listed{Addr: wire.Addr{Host: host, Port: n}, ID: "3" + name})
	}
	return s.net.Version.PeersArg(list)
}

// backlogs has the node tell what it has held back.
func (s *story) backlogs() string {
	text := ""
	for _, session := range s.rig.sessions() {
		for more := true; more; {
			var out Effects
			if out, more = s.Introduce(s.now, session); more {
				text += s.render(out, nil)
			}
		}
	}
	return text
}

// render tells what the node has wanted done.
func (s *story) render(out Effects, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintln(&b, "error:", s.abbreviate(err.Error()))
	}
	for _, f := range out.Frames {
		fmt.Fprintf(&b, "to %s: %s\n", s.nameOf(f.To), s.frame(f))
	}
	for _, x := range out.Ready {
		fmt.Fprintf(&b, "%s is ready\n", s.nameOf(x))
	}
	for _, x := range out.Answered {
		fmt.Fprintf(&b, "%s has answered\n", s.nameOf(x))
	}
	for _, l := range out.Found {
		v, err := l.Result()
		fmt.Fprintf(&b, "found: %s, %v\n", s.value(v), err)
	}
	for _, e := range out.Endings {
		fmt.Fprintf(&b, "ends %s: %s\n", s.nameOf(e.Session), s.abbreviate(e.Why.Error()))
	}
	for _, p := range out.Dials {
		fmt.Fprintf(&b, "dials %s for %s\n", p.Addr, s.abbreviate(p.ID))
	}
	for _, m := range out.Messages {
		fmt.Fprintf(&b, "message: %s of %s: %s\n", m.Kind, s.abbreviate(m.From), s.values(m.Packets))
	}
	for _, c := range out.Changes {
		fmt.Fprintf(&b, "change: %s = %s, of %s, deleted %v\n", c.Key, s.value(c.Value), s.abbreviate(c.Owner), c.Deleted)
	}
	for _, c := range out.Conflicts {
		fmt.Fprintf(&b, "conflict: %s = %s, of %s\n", c.Key, s.value(c.Value), s.abbreviate(c.Sender))
	}
	for _, p := range out.Presences {
		fmt.Fprintf(&b, "bridge: %s of %s\n", p.Bridge, p.Tag)
	}
	for _, n := range out.Notices {
		fmt.Fprintf(&b, "notice: %s, deleted %v\n", n.Key, n.Deleted)
	}
	for _, e := range out.Events {
		fmt.Fprintln(&b, strings.TrimSpace(fmt.Sprint("event: ", e.Kind, " ", s.abbreviate(e.Peer.ID), e.Key)))
	}
	return b.String()
}

// frame tells what a frame says.
func (s *story) frame(f Frame) string {
	how, body := "", f.Body
	if plain, err := wire.Decompress(wire.Zlib, body); err == nil {
		how, body = " (zlib)", plain
	}
	m, err := wire.Decode(s.net.Version, body)
	if err != nil {
		return err.Error()
	}
	by := ""
	if m.Sender != s.id {
		by = " by " + s.abbreviate(m.Sender)
	}
	if ahead := m.Time - s.now.Unix(); ahead != 0 {
		by += fmt.Sprintf(" at %+d s", ahead)
	}
	main, sub := flags[m.Main()], flags[m.Sub()]
	if m.Main() == wire.Broadcast {
		main = "broadcast"
	}
	if sub == "handshake" && len(m.Args()) == 4 {
		if g, err := m.Version.ParseGreeting(m.Args()); err == nil && g.SubnetID == nowhere {
			return "goodbye"
		}
	}
	return fmt.Sprintf("%s %s%s: %s%s", main, sub, by, s.values(m.Args()), how)
}

func (s *story) values(list []any) string {
	var texts []string
	for _, v := range list {
		texts = append(texts, s.value(v))
	}
	return strings.Join(texts, " ")
}

func (s *story) value(v any) string {
	switch v := v.(type) {
	case string:
		return `"` + s.abbreviate(v) + `"`
	case []byte:
		return `'` + s.abbreviate(string(v)) + `'`
	case []any:
		return "[" + s.values(v) + "]"
	}
	return fmt.Sprint(v)
}

var long = regexp.MustCompile(`[1-9A-HJ-NP-Za-km-z]{30,}`)

// abbreviate puts names for IDs, and #1 and so on for other long texts.
func (s *story) abbreviate(text string) string {
	switch {
	case text == s.id:
		return "self"
	case len(s.id) > 20: // on the ring of 0.4 it has a digit or two
		text = strings.ReplaceAll(text, s.id, "self")
	}
	text = strings.ReplaceAll(text, s.subnetID, "this network")
	for id, author := range s.ghosts {
		text = strings.ReplaceAll(text, id, "native:"+author)
	}
	for _, who := range s.names {
		text = strings.ReplaceAll(text, "3"+who, who)
	}
	return long.ReplaceAllStringFunc(text, func(id string) string {
		for short, known := range s.short {
			if known == id {
				return short
			}
		}
		short := fmt.Sprint("#", len(s.short)+1)
		s.short[short] = id
		return short
	})
}

func (s *story) nameOf(x *Session) string {
	for who, other := range s.sessions {
		if other == x {
			return who
		}
	}
	return "it"
}

func (s *story) status() string {
	var b strings.Builder
	for _, p := range s.Peers() {
		fmt.Fprintf(&b, "connected: %s, %s\n", s.abbreviate(p.ID), p.Language)
	}
	if s.dict != nil {
		for _, key := range s.dict.Keys() {
			e, _ := s.dict.Entry(key)
			fmt.Fprintf(&b, "%s = %s, of %s\n", key, s.value(e.Value), s.abbreviate(e.Owner))
		}
	}
	for why, n := range s.dropped {
		if n > 0 {
			fmt.Fprintf(&b, "dropped %d: %s\n", n, Drop(why))
		}
	}
	return b.String()
}
