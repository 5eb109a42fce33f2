package chord

import (
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

func (v version) append(dst []byte) []byte {
	return dcbor.AppendUint(dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendArray(dst, 3), v.counter), v.writer), v.hash)
}

func scanVersion(s *dcbor.Scanner) version {
	s.Tuple(3)
	v := version{s.Uint(), scanString(s, maxWriter), s.Uint()}
	if v.counter > maxCounter {
		s.Fail()
	}
	return v
}

// append appends a version, whether it is a deletion, and since how long that is known.
func (w *write) append(dst []byte, now time.Time) []byte {
	dst = dcbor.AppendBool(w.version.append(dst), w.deleted)
	age := time.Duration(0)
	if w.deleted {
		age = max(0, now.Sub(w.at))
	}
	return dcbor.AppendUint(dst, uint64(age.Milliseconds()))
}

func scanWrite(s *dcbor.Scanner, now time.Time) write {
	w := write{version: scanVersion(s), deleted: s.Bool()}
	age := scanAge(s)
	if age > 0 && !w.deleted {
		s.Fail()
	}
	w.at = now.Add(-age)
	return w
}

// scanString reads a byte string of a limited length. One that is longer is cut, and
// fails the message.
func scanString(s *dcbor.Scanner, most int) string {
	b := s.Bytes()
	if len(b) > most {
		s.Fail()
		return ""
	}
	return string(b)
}

// scanAge reads a duration in milliseconds. More than a year is a year.
func scanAge(s *dcbor.Scanner) time.Duration {
	return time.Duration(min(s.Uint(), 366*24*3600*1000)) * time.Millisecond
}

func appendRow(dst []byte, w write, value string) []byte {
	dst = dcbor.AppendBool(w.version.append(dcbor.AppendArray(dst, 4)), w.deleted)
	return dcbor.AppendBytes(dcbor.AppendUint(dst, uint64(max(0, w.at.UnixMilli()))), value)
}

// scanRow reads a row. The value aliases it.
func scanRow(data []byte) (w write, value []byte, err error) {
	s := dcbor.Scan(data)
	s.Tuple(4)
	w = write{version: scanVersion(&s), deleted: s.Bool()}
	at := s.Uint()
	w.at, value = time.UnixMilli(int64(at)), s.Bytes()
	if at > 1<<48 { // after the year 10000
		s.Fail()
	}
	w.size = len(value)
	return w, value, s.End()
}
