package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// An item is a key with its value, and the whole JSON object that the control API has sent.
type item struct {
	control.ListLine
	whole json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (it *item) UnmarshalJSON(data []byte) error {
	it.whole = append(it.whole[:0], data...)
	return json.Unmarshal(data, &it.ListLine)
}

func (k kv) getCmd() *cobra.Command {
	var detailed bool
	cmd := k.command("get", "KEY", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		q, err := keyRequest(args[0])
		if err != nil {
			return err
		}
		var it item
		if err := k.call(cmd.Context(), control.Get, q, &it); err != nil {
			return err
		}
		switch {
		case k.json && detailed:
			return k.print(it.whole, "")
		case k.json:
			return k.print(control.KeyValue{Key: it.Key, Value: it.Value}, "")
		case detailed:
			if err := k.detail.print(k.cli, it.whole); err != nil {
				return failure(err)
			}
		}
		return k.printValue(it.Value)
	})
	cmd.Flags().BoolVar(&detailed, k.detail.flag, false, k.detail.usage)
	return cmd
}
