package policy

// A Table compares a key of two tables: the values of both, and the value on which they last agreed. An empty value is
// none.
type Table struct {
	Native, Old, Agreed string
	Known               bool // they have agreed before
	NativeDeleted       bool // a native peer says that the key was deleted
	OldDeleted          bool // an old node says so
	Again               bool // the key was as now a while ago
}

// Decide returns what to do. If both have changed, the native value stands. Tables lose keys, and find them again: a
// key was deleted only if somebody says so, and that may come behind what shows that it is missing.
func (t Table) Decide() Action {
	changed := !t.Known || t.Native != t.Agreed
	switch {
	case t.Native == t.Old:
		return Nothing
	case t.Native == "" && t.Known && t.Old == t.Agreed && t.NativeDeleted:
		return DeleteOut
	case t.Native == "":
		return CopyIn
	case t.Old == "" && !changed && t.OldDeleted:
		return DeleteIn
	case t.Old == "" && !changed && !t.Again:
		return Wait
	case t.Old == "", changed:
		return CopyOut
	}
	return CopyIn
}
