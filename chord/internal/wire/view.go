package wire

import (
	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/internal/dcbor"
)

const maxPeer = 128 // bytes of a peer ID

func appendNode(dst []byte, n ring.Node) []byte {
	return dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendArray(dst, 2), uint64(n.Slot)), n.Peer)
}

func appendNodes(dst []byte, nodes []ring.Node) []byte {
	dst = dcbor.AppendArray(dst, len(nodes))
	for _, n := range nodes {
		dst = appendNode(dst, n)
	}
	return dst
}

func scanNode(s *dcbor.Scanner) ring.Node {
	s.Tuple(2)
	return ring.Node{Slot: ring.Slot(s.Uint()), Peer: home.ScanString(s, maxPeer)}
}

func scanNodes(s *dcbor.Scanner) (nodes []ring.Node) {
	n := s.Array(ring.Listed)
	for range n {
		nodes = append(nodes, scanNode(s))
	}
	return nodes
}

func appendView(dst []byte, v *ring.View) []byte {
	dst = dcbor.AppendBool(appendNode(dcbor.AppendArray(dst, 7), v.Self), v.Stores)
	dst = dcbor.AppendUint(dcbor.AppendUint(dst, v.Ring), v.Merges)
	return appendNodes(appendNodes(dcbor.AppendUint(dst, uint64(v.Age.Milliseconds())), v.Preds), v.Succs)
}

func scanView(s *dcbor.Scanner) *ring.View {
	s.Tuple(7)
	return &ring.View{
		Self: scanNode(s), Stores: s.Bool(), Ring: s.Uint(), Merges: s.Uint(), Age: home.ScanAge(s),
		Preds: scanNodes(s), Succs: scanNodes(s),
	}
}
