package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (k kv) setCmd() *cobra.Command {
	var f valueFlags
	cmd := k.writeCmd("set", "KEY VALUE", control.Set, &f)
	f.add(cmd)
	return cmd
}

func (k kv) deltaCmd() *cobra.Command {
	return k.writeCmd("delta", "KEY JSON", control.Delta, &valueFlags{json: true})
}

// writeCmd returns a command that writes a VALUE to a KEY.
func (k kv) writeCmd(name, usage, end string, f *valueFlags) *cobra.Command {
	var acks int
	cmd := k.command(name, usage, cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
		q, err := keyRequest(args[0])
		if err != nil {
			return err
		}
		values, err := f.read(k.in, args[1:])
		if err != nil {
			return err
		}
		q.Value, q.Acks = values[0], acks
		var written json.RawMessage
		if err := k.call(cmd.Context(), end, q, &written); err != nil {
			return err
		}
		return k.print(written, "")
	})
	k.ackFlag(cmd, &acks)
	return cmd
}

func (k kv) delCmd() *cobra.Command {
	var acks int
	cmd := k.command("del", "KEY", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		q, err := keyRequest(args[0])
		if err != nil {
			return err
		}
		q.Acks = acks
		return k.request(cmd.Context(), k.store.Path(control.Delete), q)
	})
	k.ackFlag(cmd, &acks)
	return cmd
}

func (k kv) popCmd() *cobra.Command {
	return k.command("pop", "KEY", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		q, err := keyRequest(args[0])
		if err != nil {
			return err
		}
		var it item
		if err := k.call(cmd.Context(), control.Pop, q, &it); err != nil {
			return err
		}
		if k.json {
			return k.print(it.whole, "")
		}
		return k.printValue(it.Value)
	})
}
