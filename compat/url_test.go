package compat

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseURL_ReadsNetworks(t *testing.T) {
	for text, want := range map[string]struct {
		name    string
		opts    Options
		connect []string
	}{
		"mesh://?version=0.7":                                                  {"", Options{Kind: Mesh, Version: "0.7"}, nil},
		"mesh://127.0.0.1:4444?version=0.4&subnet=lab":                         {"", Options{Kind: Mesh, Version: "0.4", Subnet: "lab", Listen: "127.0.0.1:4444"}, nil},
		"sync://:0?version=0.6&leasing=off&transport=ssl&name=old":             {"old", Options{Kind: Sync, Version: "0.6", NoLeasing: true, Transport: SSL, Listen: ":0"}, nil},
		"sync://?version=0.7&transport=ws&connect=a:1,b:2&autodial=on":         {"", Options{Kind: Sync, Version: "0.7", Transport: WebSocket, Autodial: true}, []string{"a:1", "b:2"}},
		"chord://?version=0.4&k=3&connect=127.0.0.2:5":                         {"", Options{Kind: Chord, Version: "0.4", K: 3}, []string{"127.0.0.2:5"}},
		"mesh://0.0.0.0:4444?version=0.7&advertise=192.0.2.1:4444&leasing=off": {},
		"mesh://?version=0.3":                                                  {},
		"mesh://":                                                              {},
		"ford://?version=0.7":                                                  {},
		"mesh://host?version=0.7":                                              {},
		"mesh://?version=0.7&connect=host":                                     {},
		"mesh://?version=0.7&k=3":                                              {},
		"mesh://?version=0.7&colour=red":                                       {},
		"mesh://?version=0.7&version=0.6":                                      {},
		"mesh://?version=0.5&transport=ws":                                     {},
		"mesh://?version=0.7&transport=quic":                                   {},
		"mesh://a:1/path?version=0.7":                                          {},
		"%":                                                                    {},
	} {
		name, opts, connect, err := ParseURL(text)
		if want.opts.Kind == "" {
			if err == nil || !strings.Contains(err.Error(), "compat: ") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || name != want.name || !reflect.DeepEqual(opts, want.opts) || !reflect.DeepEqual(connect, want.connect) {
			t.Errorf("%s: %q, %+v, %v, %v", text, name, opts, connect, err)
		}
	}
}
