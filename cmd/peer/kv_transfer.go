package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/internal/value"
)

func (k kv) exportCmd() *cobra.Command {
	return k.command("export", "", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return k.export(cmd.Context())
	})
}

// export prints all items in the order of the keys. It sorts them in memory if the peer does not list them in order.
func (k kv) export(ctx context.Context) error {
	total, ordered := -1, k.count != nil
	if ordered {
		var err error
		if total, err = k.count(ctx, k.cli); err != nil {
			return err
		}
	}
	p := k.progress("exporting", total)
	defer p.done()
	out := bufio.NewWriter(k.out)
	enc := json.NewEncoder(out)
	var unordered []control.KeyValue
	err := k.items(ctx, "", func(it item) error {
		p.add(1)
		line := control.KeyValue{Key: it.Key, Value: it.Value}
		if ordered {
			return failure(enc.Encode(line))
		}
		unordered = append(unordered, line)
		return nil
	})
	if err == nil {
		slices.SortFunc(unordered, func(a, b control.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
		for _, line := range unordered {
			err = errors.Join(err, failure(enc.Encode(line)))
		}
	}
	return errors.Join(err, failure(out.Flush()))
}

func (k kv) importCmd() *cobra.Command {
	return k.command("import", "FILE", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return k.imports(cmd.Context(), args[0])
	})
}

// imports sets the keys of a file, importChunk at a time.
func (k kv) imports(ctx context.Context, name string) error {
	total, err := lineCount(name)
	if err != nil {
		return failure(err)
	}
	p := k.progress("importing", total)
	defer p.done()
	done := 0
	return k.readItems(name, k.importChunk, func(items []control.KeyValue) error {
		if err := k.update(ctx, items, 0); err != nil {
			return afterward(err, fmt.Sprintf("%d keys are imported; "+k.importRest+": ", done, len(items)))
		}
		done += len(items)
		p.add(len(items))
		return nil
	})
}

func (k kv) updateCmd() *cobra.Command {
	var acks int
	cmd := k.command("update", "FILE", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		var all []control.KeyValue
		err := k.readItems(args[0], k.importChunk, func(items []control.KeyValue) error {
			all = append(all, items...)
			return nil
		})
		if err == nil {
			err = k.update(cmd.Context(), all, acks)
		}
		if err != nil {
			return err
		}
		return k.print(control.OK{OK: true}, "")
	})
	k.ackFlag(cmd, &acks)
	return cmd
}

// update sets keys with one request.
func (k kv) update(ctx context.Context, items []control.KeyValue, acks int) error {
	for i := range items {
		items[i].Value = value.JSON(items[i].Value)
	}
	var ok control.OK
	return k.call(ctx, control.Update, control.UpdateRequest{Items: items, Acks: acks}, &ok)
}

// afterward puts what had been done before a failure in front of its text.
func afterward(err error, before string) error {
	if e, ok := errors.AsType[*control.Error](err); ok {
		e.Text = before + e.Text
	}
	return err
}

// readItems reads a file of items, or standard input if the name is "-". It calls f with n items at a time.
func (k kv) readItems(name string, n int, f func([]control.KeyValue) error) error {
	in := k.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return failure(err)
		}
		defer file.Close()
		in = file
	}
	dec := json.NewDecoder(bufio.NewReader(in))
	var items []control.KeyValue
	for line := 1; ; line++ {
		var kv control.KeyValue
		err := dec.Decode(&kv)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return usage("%s: item %d: %v", name, line, err)
		}
		if items = append(items, kv); len(items) == n {
			if err := f(items); err != nil {
				return err
			}
			items = nil
		}
	}
	if len(items) == 0 {
		return nil
	}
	return f(items)
}

// lineCount returns the number of lines of a file. It is -1 for standard input or a pipe, which cannot be read twice.
func lineCount(name string) (int, error) {
	info, err := os.Stat(name)
	if name == "-" || err == nil && !info.Mode().IsRegular() {
		return -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	n := 0
	lines := bufio.NewReader(file)
	for {
		_, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			n++
		case errors.Is(err, io.EOF):
			return n, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return n, err
		}
	}
}
