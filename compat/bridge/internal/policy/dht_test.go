package policy

import "testing"

func TestTable_NativeValueStandsAndLostKeysReturn(t *testing.T) {
	for name, c := range map[string]struct {
		table Table
		want  Action
	}{
		"nothing anywhere":              {Table{}, Nothing},
		"equal":                         {Table{Native: "a", Old: "a"}, Nothing},
		"native only":                   {Table{Native: "a"}, CopyOut},
		"old only":                      {Table{Old: "a"}, CopyIn},
		"different, the native stands":  {Table{Native: "a", Old: "b"}, CopyOut},
		"changed natively":              {Table{Native: "a", Old: "b", Agreed: "b", Known: true}, CopyOut},
		"changed in the old table":      {Table{Native: "a", Old: "b", Agreed: "a", Known: true}, CopyIn},
		"changed in both":               {Table{Native: "a", Old: "b", Agreed: "c", Known: true}, CopyOut},
		"deleted natively":              {Table{Old: "a", Agreed: "a", Known: true, NativeDeleted: true}, DeleteOut},
		"lost natively":                 {Table{Old: "a", Agreed: "a", Known: true}, CopyIn},
		"deleted natively, changed old": {Table{Old: "a", Agreed: "b", Known: true, NativeDeleted: true}, CopyIn},
		"deleted in the old table":      {Table{Native: "a", Agreed: "a", Known: true, OldDeleted: true}, DeleteIn},
		"missing in the old table":      {Table{Native: "a", Agreed: "a", Known: true}, Wait},
		"still missing there":           {Table{Native: "a", Agreed: "a", Known: true, Again: true}, CopyOut},
		"deleted there, changed native": {Table{Native: "a", Agreed: "b", Known: true, OldDeleted: true}, CopyOut},
	} {
		if got := c.table.Decide(); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}
