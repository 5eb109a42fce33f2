package compat

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ParseURL reads what says how to take part in an old network:
//
//	mesh|sync|chord://[HOST:PORT]?version=0.4|0.5|0.6|0.7&subnet=S&transport=plaintext|ssl|ws
//	    [&leasing=off][&k=N][&connect=HOST:PORT,…][&autodial=on][&name=…]
//
// HOST:PORT is where others are accepted, nobody if it is left out. Only the version must
// be given. It returns also the name of the link, which may be empty, and the addresses to
// connect to.
func ParseURL(text string) (name string, opts Options, connect []string, err error) {
	fail := func(format string, args ...any) (string, Options, []string, error) {
		return "", Options{}, nil, fmt.Errorf("compat: %q: %s", text, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(text)
	if err != nil {
		return fail("%v", err)
	}
	if u.Path != "" && u.Path != "/" || u.User != nil || u.Fragment != "" {
		return fail("it is KIND://HOST:PORT?PARAMETERS")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	opts = Options{Kind: Kind(u.Scheme), Listen: u.Host}
	if opts.Listen != "" {
		if _, err := ParseAddr(opts.Listen); err != nil {
			return fail("%v", err)
		}
	}
	for key, values := range q {
		if len(values) > 1 && key != "connect" {
			return fail("%s is given %d times", key, len(values))
		}
		v := values[0]
		switch key {
		case "version":
			opts.Version = v
		case "subnet":
			opts.Subnet = v
		case "name":
			name = v
		case "transport":
			i := slices.Index([]string{"plaintext", "ssl", "ws"}, v)
			if i < 0 {
				return fail("transport %q is plaintext, ssl or ws", v)
			}
			opts.Transport = []Transport{Plaintext, SSL, WebSocket}[i]
		case "leasing":
			if v != "on" && v != "off" || opts.Kind != Sync {
				return fail("leasing is on or off, of a sync network")
			}
			opts.NoLeasing = v == "off"
		case "autodial":
			if v != "on" && v != "off" {
				return fail("autodial is on or off")
			}
			opts.Autodial = v == "on"
		case "advertise":
			opts.Advertise = v
		case "k":
			if opts.K, err = strconv.Atoi(v); err != nil || opts.K < 1 || opts.Kind != Chord {
				return fail("k is a number, of a chord network of 0.4")
			}
		case "connect":
			for _, v := range values {
				connect = append(connect, strings.Split(v, ",")...)
			}
		default:
			return fail("no parameter %q", key)
		}
	}
	for _, addr := range connect {
		if _, err := ParseAddr(addr); err != nil {
			return fail("connect: %v", err)
		}
	}
	checked := opts
	if _, err := checked.Complete(); err != nil {
		return fail("%v", err)
	}
	return name, opts, connect, nil
}
