package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// load reads a file of golden data, which the original nodes have made.
func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A row is a message of golden data.
type row struct {
	Name     string
	MadeBy   string `json:"made_by"`
	MainFlag any    `json:"main_flag"`
	Sender   any
	Time     int64
	Payload  []any
	ID       string
	Frame    string
	Length   int    `json:"frame_len"`
	Sum      string `json:"frame_sha256"`
	Py, JS   any
}

// typed is a value of golden data; ok is false if Go has none.
func typed(t testing.TB, v any) (value any, ok bool) {
	if s, is := v.(string); is {
		return unhex(t, s), true
	}
	m := v.(map[string]any)
	if s, is := m["repeat"].(string); is {
		b := bytes.Repeat(unhex(t, s), int(m["n"].(float64)))
		if m["t"] == "str" {
			return string(b), true
		}
		return b, true
	}
	switch m["t"] {
	case "nil", "undefined":
		return nil, true
	case "bool":
		return m["v"] == true || m["v"] == "true", true
	case "int":
		s := m["v"].(string)
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, true
		}
		n, err := strconv.ParseUint(s, 10, 64)
		return n, err == nil
	case "float":
		bits, err := strconv.ParseUint(m["bits"].(string), 16, 64)
		return math.Float64frombits(bits), err == nil
	case "str":
		return m["v"].(string), true
	case "bin":
		return unhex(t, m["v"].(string)), true
	case "list":
		list := []any{}
		for _, item := range m["v"].([]any) {
			v, fine := typed(t, item)
			if list = append(list, v); !fine {
				return nil, false
			}
		}
		return list, true
	case "map":
		out := Map{}
		for _, item := range m["v"].([]any) {
			pair := item.([]any)
			k, fine := typed(t, pair[0])
			v, fine2 := typed(t, pair[1])
			if out = append(out, Pair{k, v}); !fine || !fine2 {
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

// same compares values with their types; a NaN is itself, and what js made of a value may
// be a float.
func same(a, b any) bool {
	x, errA := AppendValue(nil, a)
	y, errB := AppendValue(nil, b)
	return errA == nil && errB == nil && (bytes.Equal(x, y) || number(a) == number(b) && number(a) != "")
}

func number(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatFloat(float64(v), 'g', -1, 64)
	case uint64:
		return strconv.FormatFloat(float64(v), 'g', -1, 64)
	case float64:
		return strconv.FormatFloat(v+0, 'g', -1, 64)
	}
	return ""
}

// Every message of the old nodes is read, and what is written of it is the same to the byte.
func TestEncode_BytesAreThoseOfOldNodes(t *testing.T) {
	for _, v := range Versions {
		var file struct {
			Rows       []row
			Compressed []struct {
				DecodesTo string `json:"decodes_to"`
				By        string `json:"decodes_to_made_by"`
				MadeBy    string `json:"made_by"`
				Method    any
				Frame     string
				Sum       string `json:"frame_sha256"`
			}
		}
		load(t, "messages-"+v.String()+".json", &file)
		bodies := map[string][]byte{}
		for _, r := range file.Rows {
			name := r.MadeBy + " " + r.Name
			want := Message{Version: v, Time: r.Time, TextID: !v.Typed() && strings.HasPrefix(r.MadeBy, "js") && r.Py != "ok"}
			var exact bool
			want.Flag, exact = typed(t, r.MainFlag)
			if s, ok := r.Sender.(string); ok {
				want.Sender = s
			} else {
				sender, _ := typed(t, r.Sender)
				want.Sender, _ = Text(sender)
				_, want.SenderBin = sender.([]byte)
			}
			for _, p := range r.Payload {
				packet, ok := typed(t, p)
				want.Packets, exact = append(want.Packets, packet), exact && ok
			}
			var body []byte
			if r.Frame != "" {
				body = unhex(t, r.Frame)[4:]
			} else { // too long for golden data, which has its sum
				var err error
				if body, err = Encode(&want); err != nil {
					t.Fatalf("%s %s: %v", v, name, err)
				}
				frame := AppendFrame(nil, body)
				if sum := sha256.Sum256(frame); len(frame) != r.Length || hex.EncodeToString(sum[:]) != r.Sum {
					t.Errorf("%s %s: wrong frame of %d bytes", v, name, len(frame))
				}
			}
			m, err := Decode(v, body)
			if err != nil {
				t.Errorf("%s %s: %v", v, name, err)
				continue
			}
			id := m.ID
			if v.Typed() {
				id = hex.EncodeToString([]byte(id))
			}
			if id != r.ID || m.Sender != want.Sender || m.SenderBin != want.SenderBin || m.Time != want.Time || m.TextID != want.TextID {
				t.Errorf("%s %s: read as %+v", v, name, m)
			}
			if exact && (!same(m.Flag, want.Flag) || len(m.Packets) != len(want.Packets)) {
				t.Errorf("%s %s: flag %v, %d packets", v, name, m.Flag, len(m.Packets))
			}
			for i := range want.Packets {
				if _, ext := m.Packets[i].(Ext); exact && !ext && !same(m.Packets[i], want.Packets[i]) { // golden data lacks the extension
					t.Errorf("%s %s: packet %d is %v, want %v", v, name, i, m.Packets[i], want.Packets[i])
				}
			}
			again, err := Encode(m)
			if err != nil || !bytes.Equal(again, body) {
				t.Errorf("%s %s: written as\n%x, %v; was\n%x", v, name, again, err, body)
			}
			bodies[r.MadeBy[:2]+" "+r.Name] = body
		}
		for _, c := range file.Compressed {
			want := bodies[c.By+" "+c.DecodesTo]
			method := Method(0)
			if s, ok := c.Method.(string); ok {
				method = Method(unhex(t, s)[0])
			} else {
				method = Method(c.Method.(float64))
			}
			if c.Frame == "" {
				continue // too long for golden data
			}
			got, err := Decompress(method, unhex(t, c.Frame)[4:])
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s %s by %#x: %x, %v", v, c.MadeBy, c.DecodesTo, method, got, err)
			}
		}
		if len(file.Rows) == 0 || len(file.Compressed) == 0 {
			t.Errorf("%s: no golden data", v)
		}
	}
}

func TestCompress_RoundTrips(t *testing.T) {
	body := bytes.Repeat([]byte("what two nodes agree on "), 1000)
	for _, m := range Methods {
		packed, err := Compress(m, body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decompress(m, packed); err != nil || !bytes.Equal(got, body) || len(packed) >= len(body) {
			t.Errorf("%#x: %d bytes become %d, %v", m, len(packed), len(got), err)
		}
		packed, err = Compress(m, make([]byte, MaxFrame))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decompress(m, packed); !errors.Is(err, ErrBomb) && m != Snappy || err == nil && len(packed) < MaxFrame/bomb {
			t.Errorf("%#x: a bomb of %d bytes is %v", m, len(packed), err)
		}
		if _, err := Decompress(m, body[:50]); !errors.Is(err, ErrCompression) && !errors.Is(err, ErrBomb) {
			t.Errorf("%#x: text is %v", m, err)
		}
	}
	if _, err := Compress(BZ2, body); !errors.Is(err, ErrCompression) {
		t.Error(err)
	}
}

func TestChoose_IsThatOfOldNodes(t *testing.T) {
	var file struct {
		Rows []struct {
			Own, PeerList []int
			Peer          []int  `json:"peer_list"`
			Sends         *int   `json:"sends_with"`
			Tries         []int  `json:"tries_to_decode_with_in_order"`
			Version       string `json:"version"`
		}
	}
	load(t, "negotiation.json", &file)
	methods := func(list []int) (out []Method) {
		for _, n := range list {
			out = append(out, Method(n))
		}
		return out
	}
	for i, r := range file.Rows {
		own, peer := methods(r.Own), methods(r.Peer)
		want := Method(0)
		if r.Sends != nil {
			want = Method(*r.Sends)
		}
		if got := Choose(own, peer); got != want {
			t.Errorf("row %d: sends with %#x, want %#x", i, got, want)
		}
		if got := Try(own, peer); !reflect.DeepEqual(got, methods(r.Tries)) {
			t.Errorf("row %d: tries %v, want %v", i, got, r.Tries)
		}
	}
}

func TestIDs_AreThoseOfOldNodes(t *testing.T) {
	var numbers struct {
		Encode []struct{ Int, Text string }
		Decode []struct {
			Text, Int, Raises string
		}
	}
	load(t, "base58.json", &numbers)
	for _, r := range numbers.Encode {
		n, _ := new(big.Int).SetString(r.Int, 10)
		if got := Base58(n.Bytes()); got != r.Text {
			t.Errorf("%s is %s, want %s", r.Int, got, r.Text)
		}
	}
	for _, r := range numbers.Decode {
		n, err := ParseBase58(r.Text)
		if (err != nil) != (r.Raises != "") || err == nil && n.String() != r.Int || err != nil && !errors.Is(err, ErrBase58) {
			t.Errorf("%q is %v, %v; want %s %s", r.Text, n, err, r.Int, r.Raises)
		}
	}
	var subnets struct {
		Rows []struct{ Version, Subnet, Encryption, ID string }
	}
	load(t, "protocol-ids.json", &subnets)
	for _, r := range subnets.Rows {
		v, err := ParseVersion(r.Version)
		if got := SubnetID(v, r.Subnet, r.Encryption); err != nil || got != r.ID {
			t.Errorf("%s %s %s is %s, want %s", r.Version, r.Subnet, r.Encryption, got, r.ID)
		}
	}
	var nodes struct {
		Rows []struct {
			MadeBy     string `json:"made_by"`
			OutAddr    []any  `json:"out_addr"`
			Salt       string
			ProtocolID string `json:"protocol_id"`
			ID         string
		}
	}
	load(t, "node-ids.json", &nodes)
	count := 0
	for _, r := range nodes.Rows {
		if !strings.HasPrefix(r.MadeBy, "py") {
			continue // who has another rule for the text of the address
		}
		host, isText := r.OutAddr[0].(string)
		port, isNumber := r.OutAddr[1].(float64)
		if !isText || !isNumber {
			continue
		}
		count++
		if got := NodeID(host, int(port), r.ProtocolID, r.Salt); got != r.ID {
			t.Errorf("%v is %s, want %s", r.OutAddr, got, r.ID)
		}
	}
	if count == 0 {
		t.Error("no node ids")
	}
	if _, err := ParseVersion("0.3"); err == nil {
		t.Error("0.3 is a version")
	}
}

func TestEncode_IDsOfTextAreThoseOfJS(t *testing.T) {
	var file struct {
		Rows []struct {
			Bytes string
			Text  string `json:"text_utf8"`
			ID    string
		}
	}
	load(t, "js-utf8-ids.json", &file)
	for _, r := range file.Rows {
		b := unhex(t, r.Bytes)
		if got := hex.EncodeToString(jsText(b)); got != r.Text {
			t.Errorf("%s is %s to js, want %s", r.Bytes, got, r.Text)
		}
		if got := packetsID([][]byte{{0}, b}, 1480000000, true); got != r.ID {
			t.Errorf("%s has id %s, want %s", r.Bytes, got, r.ID)
		}
		if same := SameForJS([]any{b}); same != (r.Text == r.Bytes) {
			t.Errorf("%s is the same for js: %v", r.Bytes, same)
		}
	}
}

// Each frame that is wrong by itself is refused with an error of its own. The session refuses frames that are wrong in
// its state.
func TestDecode_NamesWhatIsWrong(t *testing.T) {
	named := map[string]error{
		"empty body":                                       ErrLayout,
		"three byte body":                                  ErrLayout,
		"garbage body of 100 bytes":                        ErrLayout,
		"wrong id":                                         ErrChecksum,
		"packet length past the end":                       ErrLayout,
		"two packets only":                                 ErrPackets,
		"time not base58":                                  ErrTime,
		"id with a leading '1' added":                      ErrChecksum,
		"wrong checksum":                                   ErrChecksum,
		"body shorter than 32 bytes":                       ErrLayout,
		"checksum only, no msgpack":                        ErrValue,
		"truncated msgpack":                                ErrValue,
		"array of two":                                     ErrPackets,
		"empty array":                                      ErrPackets,
		"not an array: integer":                            ErrValue,
		"not an array: map":                                ErrValue,
		"not an array: string":                             ErrValue,
		"broadcast with time as string":                    ErrTime,
		"broadcast with time nil":                          ErrTime,
		"broadcast with time as float":                     ErrTime,
		"broadcast with sender nil":                        ErrSender,
		"handshake with bad address JSON":                  ErrHandshake,
		"handshake with bad compression JSON":              ErrHandshake,
		"handshake with compression JSON that is a string": ErrHandshake,
		"handshake without compression packet":             ErrHandshake,
		"handshake with compression nil":                   ErrHandshake,
		"peers with bad JSON":                              ErrPeers,
		"peers with nil":                                   ErrPeers,
	}
	other := map[string]error{"empty body": ErrPackets, "garbage body of 100 bytes": ErrChecksum} // by version
	var file struct {
		Rows []struct {
			Case, Frame string
			Outcome     map[string]string
		}
	}
	load(t, "malformed.json", &file)
	seen := map[string]bool{}
	for _, r := range file.Rows {
		for _, v := range Versions {
			if !involves(r.Outcome, v) {
				continue
			}
			body, err := ReadFrame(bytes.NewReader(unhex(t, r.Frame)), MaxFrame)
			switch {
			case strings.HasPrefix(r.Case, "length prefix"):
				if !errors.Is(err, ErrTooLarge) {
					t.Errorf("%s: %v", r.Case, err)
				}
				continue
			case strings.HasPrefix(r.Case, "half a frame"):
				if err == nil {
					t.Errorf("%s is a whole one", r.Case)
				}
				continue
			case err != nil:
				t.Errorf("%s: %v", r.Case, err)
				continue
			}
			m, err := Decode(v, body)
			if err == nil && m.Sub() == Handshake {
				_, err = v.ParseGreeting(m.Args())
			}
			if err == nil && m.Sub() == Peers && len(m.Args()) > 0 {
				_, err = v.ParsePeers(m.Args()[0])
			}
			if want := named[r.Case]; want != nil {
				seen[r.Case] = true
				if !errors.Is(err, want) && !errors.Is(err, other[r.Case]) {
					t.Errorf("%s %s: %v, want %v", v, r.Case, err, want)
				}
			} else if err != nil {
				t.Errorf("%s %s: %v", v, r.Case, err)
			}
		}
	}
	for name := range named {
		if !seen[name] {
			t.Errorf("no row for %q", name)
		}
	}
}

func involves(outcome map[string]string, v Version) bool {
	for who := range outcome {
		if strings.Contains(who, v.String()) {
			return true
		}
	}
	return false
}

func TestDecode_HoldsLimits(t *testing.T) {
	nested := []any{}
	for range maxDepth + 1 {
		nested = []any{nested}
	}
	m := New(V7, Broadcast, Broadcast, nested)
	m.Time = 1
	body, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(V7, body); !errors.Is(err, ErrNested) {
		t.Errorf("nested: %v", err)
	}
	huge := append(make([]byte, 32), 0xdd, 0xff, 0xff, 0xff, 0xff)
	sum := sha256.Sum256(huge[32:])
	copy(huge, sum[:])
	if _, err := Decode(V7, huge); !errors.Is(err, ErrNested) {
		t.Errorf("huge count: %v", err)
	}
	huge = append(make([]byte, 32), 0xdd, 0, 0, 0xff, 0xff)
	sum = sha256.Sum256(huge[32:])
	copy(huge, sum[:])
	if _, err := Decode(V7, huge); !errors.Is(err, ErrValue) {
		t.Errorf("count beyond the bytes: %v", err)
	}
	for _, v := range []Version{V4, V5} {
		if _, err := Decode(v, make([]byte, 4*(MaxPackets+10))); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: empty packets: %v", v, err)
		}
	}
	if _, err := Encode(New(V5, Broadcast, Broadcast, "text")); !errors.Is(err, ErrTime) {
		t.Errorf("no time: %v", err)
	}
	m = New(V5, Broadcast, Broadcast, "text")
	m.Time = 1
	if _, err := Encode(m); !errors.Is(err, ErrValue) {
		t.Errorf("text in 0.5: %v", err)
	}
}

func TestParseGreeting_TellsLanguages(t *testing.T) {
	for _, v := range Versions {
		for _, g := range []Greeting{
			{ID: "2abc", SubnetID: "3def", Addr: Addr{"127.0.0.1", 44565}, Methods: []Method{Snappy, Zlib}, Language: JavaScript},
			{ID: "2abc", SubnetID: "3def"},
		} {
			got, err := v.ParseGreeting(v.GreetingArgs(g))
			if err != nil || !reflect.DeepEqual(got, g) {
				t.Errorf("%s: %+v is read as %+v, %v", v, g, got, err)
			}
		}
		list := []Listed{{Addr{"10.0.0.7", 4444}, "2abc", v.Typed()}, {Addr{"::1", 1}, "3def", false}}
		if got, err := v.ParsePeers(v.PeersArg(list)); err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf("%s: %v, %v", v, got, err)
		}
		if got, err := v.ParseListed(v.ListedArg(list[0])); err != nil || got != list[0] {
			t.Errorf("%s: %v, %v", v, got, err)
		}
	}
	odd := `[[["10.0.0.7", 4444], {"type":"Buffer","data":[50,97]}], [null, "x"], [["h", 70000], "x"], 7]`
	got, err := V4.ParsePeers([]byte(odd))
	if want := []Listed{{Addr: Addr{"10.0.0.7", 4444}, ID: "2a"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
