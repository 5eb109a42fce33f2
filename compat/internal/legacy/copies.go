package legacy

import (
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxCopies = 1 << 20
	maxStored = 256 << 20 // bytes of them
)

// copies holds the copies that this node stores.
type copies struct {
	at    map[place]any
	bytes int
}

// set stores a copy, or removes it if value is absent. It reports whether there was room.
func (c *copies) set(v wire.Version, pl place, value any) bool {
	if old, held := c.at[pl]; held {
		c.bytes -= 128 + weight(old)
		delete(c.at, pl)
	}
	if Absent(v, value) {
		return true
	}
	size := 128 + weight(value)
	if len(c.at) >= maxCopies || c.bytes+size > maxStored {
		return false
	}
	c.bytes += size
	c.at[pl] = value
	return true
}

// places returns the places of all copies, sorted.
func (c *copies) places() []place {
	list := make([]place, 0, len(c.at))
	for pl := range c.at {
		list = append(list, pl)
	}
	slices.SortFunc(list, func(a, b place) int {
		if a.method+a.key < b.method+b.key {
			return -1
		}
		return 1
	})
	return list
}

// Absent reports whether a copy, as it travels, says that there is none.
func Absent(v wire.Version, copy any) bool {
	if v == wire.V7 {
		return copy == nil
	}
	text, ok := wire.Text(copy)
	return copy == nil || ok && text == ""
}

// Storable reports whether a table can hold a value, as it travels. In 0.6, py cannot look up lists and maps.
func Storable(v wire.Version, value any) bool {
	_, isList := value.([]any)
	_, isMap := value.(wire.Map)
	return !Absent(v, value) && !(v == wire.V6 && (isList || isMap))
}
