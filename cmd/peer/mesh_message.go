package main

import (
	"fmt"
	"io"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// outgoing reads the arguments of a command that addresses a peer or a message.
func (c *cli) outgoing(args []string, f *valueFlags) (control.Outgoing, error) {
	packets, err := f.read(c.in, args[1:])
	return control.Outgoing{To: args[0], Packets: packets}, err
}

// printMessage prints the packets of a message, separated by blanks.
func (c *cli) printMessage(msg control.Message) error {
	if c.json {
		return c.print(msg, "")
	}
	for i, p := range msg.Packets {
		t, err := text(p)
		if err != nil {
			return failure(err)
		}
		if i > 0 {
			t = " " + t
		}
		if _, err := io.WriteString(c.out, t); err != nil {
			return failure(err)
		}
	}
	_, err := fmt.Fprintln(c.out)
	return failure(err)
}
