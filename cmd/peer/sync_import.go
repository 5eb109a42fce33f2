package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/internal/value"
)

const importChunk = 1000 // keys at once

func (c *cli) syncExportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Prints all keys and values as JSON Lines, for import",
		Long: `export prints {"key":…,"value":…} a line, in the order of the keys; bytes are {"b64":"…"}.
Equal dictionaries give equal exports: owners and terms are not in it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s control.SyncStatus
			if err := c.client().Call(cmd.Context(), control.PathSync, nil, &s); err != nil {
				return err
			}
			p := c.progress("exporting", s.Keys)
			defer p.done()
			out := bufio.NewWriter(c.out)
			enc := json.NewEncoder(out)
			err := c.items(cmd.Context(), "", func(it control.Item) error {
				p.add(1)
				return failure(enc.Encode(control.KeyValue{Key: it.Key, Value: it.Value}))
			})
			return errors.Join(err, failure(out.Flush()))
		},
	}
}

func (c *cli) syncImportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Sets all keys of an export, as this peer",
		Long: `import sets the keys of a file (- for standard input) a thousand at a time. If one of them is
another's, it ends there: those of the thousands before are set, none of that one or later.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.imports(cmd.Context(), control.PathUpdate, args[0], importChunk, "the next %d are not")
		},
	}
}

// imports sets the keys of a file, so many at a time. If some of those are not set, what
// is said of them is the rest.
func (c *cli) imports(ctx context.Context, path, name string, chunk int, rest string) error {
	total, err := lineCount(name)
	if err != nil {
		return failure(err)
	}
	p := c.progress("importing", total)
	defer p.done()
	done := 0
	return c.readItems(name, chunk, func(items []control.KeyValue) error {
		if err := c.update(ctx, path, items, 0); err != nil {
			return afterward(err, fmt.Sprintf("%d keys are imported; "+rest+": ", done, len(items)))
		}
		done += len(items)
		p.add(len(items))
		return nil
	})
}

func (c *cli) syncUpdateCmd() *cobra.Command {
	var acks int
	cmd := &cobra.Command{
		Use:   "update FILE",
		Short: "Sets several keys, all or none of them",
		Long:  `update sets the keys of a file of {"key":…,"value":…} lines (- for standard input) at once, or none if one of them is another's.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.updateFrom(cmd.Context(), control.PathUpdate, args[0], acks)
		},
	}
	ackFlag(cmd, &acks)
	return cmd
}

// updateFrom sets the keys of a file at once.
func (c *cli) updateFrom(ctx context.Context, path, name string, acks int) error {
	var all []control.KeyValue
	err := c.readItems(name, importChunk, func(items []control.KeyValue) error {
		all = append(all, items...)
		return nil
	})
	if err == nil {
		err = c.update(ctx, path, all, acks)
	}
	if err != nil {
		return err
	}
	return c.print(control.OK{OK: true}, "")
}

func (c *cli) update(ctx context.Context, path string, items []control.KeyValue, acks int) error {
	for i := range items {
		items[i].Value = value.JSON(items[i].Value)
	}
	var ok control.OK
	return c.client().Call(ctx, path, control.UpdateRequest{Items: items, Acks: acks}, &ok)
}

// afterward says what had happened before an error.
func afterward(err error, before string) error {
	if e, ok := errors.AsType[*control.Error](err); ok {
		e.Text = before + e.Text
	}
	return err
}

// readItems reads a file of items, and gives them to f so many at a time.
func (c *cli) readItems(name string, n int, f func([]control.KeyValue) error) error {
	in := c.in
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

// lineCount counts the lines of a file; -1 if that would use it up.
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
