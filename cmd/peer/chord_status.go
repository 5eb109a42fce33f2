package main

import (
	"fmt"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// chordText returns the status of the table in one line.
func chordText(s control.ChordStatus) string {
	switch {
	case s.Failed != "":
		return s.Failed
	case s.Refused != "":
		return s.Refused
	case !s.Stores:
		return fmt.Sprintf("k=%d; this peer does not store, and knows of %d that do", s.K, s.Known)
	}
	text := fmt.Sprintf("k=%d, slot %d; %d keys stored here, %.1f %% of %d MiB; %d peers that store are known", s.K, s.Slot, s.Keys,
		100*float64(s.Bytes)/float64(s.MaxBytes), s.MaxBytes>>20, s.Known)
	if s.Backfilling {
		text += "; getting what is missing"
	}
	return text
}
