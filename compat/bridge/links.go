package bridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/p2p-today/go2p/compat"
)

// Errors of links.
var (
	ErrNoLink   = errors.New("no such link")
	ErrLinkName = errors.New("there is a link with this name")
)

// links are the links of a bridge, by name. mu guards them; it is held while one is opened, so that no two get a name.
type links struct {
	mu     sync.Mutex
	byName map[string]*link
	closed bool
}

func newLinks() *links { return &links{byName: map[string]*link{}} }

// add opens a link under a name. If that is empty, a name is made up, which begins with prefix. Errors: ErrLinkName,
// ErrClosed, those of open.
func (ls *links) add(name, prefix string, open func(name string) (*link, error)) (*link, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil, compat.ErrClosed
	}
	if name != "" && ls.byName[name] != nil {
		return nil, fmt.Errorf("%w: %q", ErrLinkName, name)
	}
	for n := len(ls.byName) + 1; name == "" || ls.byName[name] != nil; n++ {
		name = fmt.Sprintf("%s-%d", prefix, n)
	}
	l, err := open(name)
	if err != nil {
		return nil, err
	}
	ls.byName[name] = l
	return l, nil
}

// remove takes a link out and returns it. Error: ErrNoLink.
func (ls *links) remove(name string) (*link, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[name]
	if l == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoLink, name)
	}
	delete(ls.byName, name)
	return l, nil
}

// all returns the links, sorted by name.
func (ls *links) all() []*link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.SortedFunc(maps.Values(ls.byName), func(x, y *link) int { return strings.Compare(x.name, y.name) })
}

// close takes all links out and returns them. No more can be added.
func (ls *links) close() []*link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed = true
	list := slices.Collect(maps.Values(ls.byName))
	clear(ls.byName)
	return list
}
