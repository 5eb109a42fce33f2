package main

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
	"github.com/spf13/cobra"
)

// valueFlags are the flags of a command with VALUE arguments.
type valueFlags struct{ json bool }

const valueHelp = `A VALUE is text, or with --json-value JSON, where {"b64":"…"} are bytes; - reads standard
input, as bytes.`

func (f *valueFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json-value", false, "read each VALUE as JSON")
}

// read turns VALUE arguments into the JSON that the control API takes.
func (f *valueFlags) read(in io.Reader, args []string) ([]json.RawMessage, error) {
	packets := make([]json.RawMessage, len(args))
	for i, arg := range args {
		var v any = arg
		switch {
		case arg == "-":
			data, err := io.ReadAll(io.LimitReader(in, mesh.MaxMessage+1))
			if err != nil {
				return nil, failure(fmt.Errorf("standard input: %w", err))
			}
			if len(data) > mesh.MaxMessage {
				return nil, failure(fmt.Errorf("standard input: %w", mesh.ErrTooLarge))
			}
			v = map[string][]byte{"b64": data}
		case f.json:
			if _, err := value.FromJSON([]byte(arg)); err != nil {
				return nil, usage("VALUE %s is %v", arg, err)
			}
			v = json.RawMessage(arg)
		case !utf8.ValidString(arg):
			return nil, usage("VALUE %q is not valid UTF-8: pipe bytes to standard input and write -", arg)
		}
		var err error
		if packets[i], err = json.Marshal(v); err != nil {
			return nil, failure(err)
		}
	}
	return packets, nil
}

// text returns a packet as it is printed for a person or a pipe: text and bytes unchanged, everything else as JSON.
func text(packet any) (string, error) {
	v, err := json.Marshal(packet)
	if err != nil {
		return "", err
	}
	decoded, err := value.FromJSON(v)
	if err != nil {
		return "", err
	}
	switch d := decoded.(type) {
	case string:
		return d, nil
	case []byte:
		return string(d), nil
	}
	return string(v), nil
}

// keyRequest reads a KEY argument.
func keyRequest(key string) (control.KeyRequest, error) {
	if !utf8.ValidString(key) {
		return control.KeyRequest{}, usage("KEY %q is not valid UTF-8", key)
	}
	return control.KeyRequest{Key: control.Key(key)}, nil
}

// optional returns the first argument, or nothing.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
