package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func chordRingCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "ring",
		Short: "Shows who stores, where on the ring, and how much",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r control.Ring
			if err := c.client().Call(cmd.Context(), control.PathChordRing, nil, &r); err != nil {
				return err
			}
			return c.print(r, ringText(r))
		},
	}
}

// The picture of a ring, in characters.
const (
	ringWidth  = 47
	ringHeight = 17
	ringNames  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ringText draws a ring: slot 0 is at the top, slots grow clockwise, and each peer is a
// letter of the list below.
func ringText(r control.Ring) string {
	var rows [ringHeight][]rune
	for y := range rows {
		rows[y] = []rune(strings.Repeat(" ", ringWidth))
	}
	slots := math.Exp2(float64(r.K))
	put := func(slot float64, mark rune) {
		angle := 2 * math.Pi * slot / slots
		x := math.Round((1 + math.Sin(angle)) * (ringWidth - 1) / 2)
		y := math.Round((1 - math.Cos(angle)) * (ringHeight - 1) / 2)
		rows[int(y)][int(x)] = mark
	}
	const dots = 400
	for i := range dots {
		put(slots*float64(i)/dots, '·')
	}
	for i := len(r.Nodes) - 1; i >= 0; i-- { // the first ones on top
		if i < len(ringNames) {
			put(float64(r.Nodes[i].Slot), rune(ringNames[i]))
		} else {
			put(float64(r.Nodes[i].Slot), '*')
		}
	}
	copy(rows[ringHeight/2][ringWidth/2-8:], []rune(fmt.Sprintf("%3d of %.0f slots", len(r.Nodes), slots)))
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	fmt.Fprintf(&b, "\n   %6s  %6s  %8s  peer\n", "slot", "share", "keys")
	for i, n := range r.Nodes {
		name, notes := "*", ""
		if i < len(ringNames) {
			name = ringNames[i : i+1]
		}
		if n.Self {
			notes += "  (this peer)"
		}
		if n.Backfilling {
			notes += "  (getting what is missing)"
		}
		fmt.Fprintf(&b, "%s  %6d  %5.1f%%  %8d  %s%s\n", name, n.Slot, 100*n.Share, n.Keys, n.ID, notes)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
