package wire

import (
	"time"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/internal/dcbor"
)

// MaxMessage is the most bytes of a question or a reply.
const MaxMessage = 2*home.MaxValue + 1<<16

// The kinds of questions.
const (
	AskGreet  = 0 // [id, 0, k, view]
	AskFind   = 1 // [id, 1, position]
	AskClaim  = 2 // [id, 2, slot]
	AskDepart = 3 // [id, 3, view]
	AskGet    = 4 // [id, 4, key, index, offset, brief]
	AskPut    = 5 // [id, 5, key, index, offset, version, deleted, age, value]
	AskFetch  = 6 // [id, 6, key, brief]: whatever the role
	AskOffer  = 7 // [id, 7, key, version, deleted, age, value]: likewise
	AskPage   = 8 // [id, 8, from, length, first, start, prefix, dead, values]
	AskWatch  = 9 // [id, 9, run, revision, prefix]

	AskPrepare = 10 // [id, 10, key, index, offset, brief, version]
	AskCount   = 11 // [id, 11]
)

// A question is asked of another node.
type Question struct {
	Kind      uint64
	K         ring.Circle
	View      *ring.View
	Position  ring.Slot // find, claim
	Key       string
	Role      ring.Role
	Brief     bool // no value
	Write     home.Write
	Value     string
	Selection home.Selection
	Values    bool
	Run       uint64
	Revision  uint64
}

func (q *Question) Append(dst []byte, id uint64, now time.Time) []byte {
	head := func(n int) []byte {
		return dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 2+n), id), q.Kind)
	}
	withRole := func(dst []byte) []byte {
		dst = dcbor.AppendBytes(dst, q.Key)
		return dcbor.AppendUint(dcbor.AppendUint(dst, uint64(q.Role.Index)), uint64(q.Role.Offset))
	}
	switch q.Kind {
	case AskGreet:
		return appendView(dcbor.AppendUint(head(2), uint64(q.K)), q.View)
	case AskFind, AskClaim:
		return dcbor.AppendUint(head(1), uint64(q.Position))
	case AskDepart:
		return appendView(head(1), q.View)
	case AskGet:
		return dcbor.AppendBool(withRole(head(4)), q.Brief)
	case AskPut:
		return dcbor.AppendBytes(q.Write.Append(withRole(head(7)), now), q.Value)
	case AskPrepare:
		return q.Write.Version.Append(dcbor.AppendBool(withRole(head(5)), q.Brief))
	case AskFetch:
		return dcbor.AppendBool(dcbor.AppendBytes(head(2), q.Key), q.Brief)
	case AskCount:
		return head(0)
	case AskOffer:
		return dcbor.AppendBytes(q.Write.Append(dcbor.AppendBytes(head(5), q.Key), now), q.Value)
	case AskPage:
		dst = dcbor.AppendUint(dcbor.AppendUint(head(7), uint64(q.Selection.From)), q.Selection.Length)
		dst = dcbor.AppendBytes(dcbor.AppendBool(dst, q.Selection.First), q.Selection.Start)
		dst = dcbor.AppendBytes(dst, q.Selection.Prefix)
		return dcbor.AppendBool(dcbor.AppendBool(dst, q.Selection.Dead), q.Values)
	}
	return dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendUint(head(3), q.Run), q.Revision), q.Selection.Prefix)
}

// scanQuestion reads a question.
func ScanQuestion(data []byte, now time.Time) (id uint64, q *Question, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(10)
	id = s.Uint()
	q = &Question{Kind: s.Uint()}
	want := [...]int{
		AskGreet: 2, AskFind: 1, AskClaim: 1, AskDepart: 1, AskGet: 4, AskPut: 7, AskFetch: 2, AskOffer: 5, AskPage: 7,
		AskWatch: 3, AskPrepare: 5, AskCount: 0,
	}
	if q.Kind >= uint64(len(want)) || fields != 2+want[q.Kind] {
		return id, nil, dcbor.ErrForm
	}
	withRole := func() {
		q.Key = home.ScanString(&s, home.MaxKey)
		q.Role = ring.Role{Index: int(min(s.Uint(), ring.Copies)), Offset: int(min(s.Uint(), ring.Copies))}
		if q.Role.Index == ring.Copies || q.Role.Offset == ring.Copies {
			s.Fail()
		}
	}
	value := func() {
		q.Value = home.ScanString(&s, home.MaxValue)
		q.Write.Size = len(q.Value)
	}
	switch q.Kind {
	case AskGreet:
		q.K, q.View = ring.Circle(min(s.Uint(), 1<<8)), scanView(&s)
	case AskFind, AskClaim:
		q.Position = ring.Slot(s.Uint())
	case AskDepart:
		q.View = scanView(&s)
	case AskGet:
		withRole()
		q.Brief = s.Bool()
	case AskPut:
		withRole()
		q.Write = home.ScanWrite(&s, now)
		value()
	case AskPrepare:
		withRole()
		q.Brief, q.Write.Version = s.Bool(), home.ScanVersion(&s)
	case AskFetch:
		q.Key, q.Brief = home.ScanString(&s, home.MaxKey), s.Bool()
	case AskOffer:
		q.Key, q.Write = home.ScanString(&s, home.MaxKey), home.ScanWrite(&s, now)
		value()
	case AskPage:
		q.Selection = home.Selection{
			Arc:   ring.Arc{From: ring.Slot(s.Uint()), Length: s.Uint()},
			First: s.Bool(), Start: home.ScanString(&s, home.MaxKey+1),
			Prefix: home.ScanString(&s, home.MaxKey), Dead: s.Bool(),
		}
		q.Values = s.Bool()
	case AskWatch:
		q.Run, q.Revision, q.Selection.Prefix = s.Uint(), s.Uint(), home.ScanString(&s, home.MaxKey)
	}
	return id, q, s.End()
}
