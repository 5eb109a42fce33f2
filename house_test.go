package go2p_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/p2p-today/go2p/"

// arrows says which packages of the house a package may import, and why not others.
// A trailing slash includes what lies below.
var arrows = []struct {
	from string
	to   []string
	why  string
}{
	{"host", []string{"internal/file"}, "host is a leaf: who has a libp2p host needs nothing from it"},
	{"mesh", []string{"internal/canon", "internal/feed", "internal/frame", "internal/metrics", "internal/recent", "internal/value", "internal/file"}, "mesh stands on libp2p's host.Host alone, so that any host will do"},
	{"sync", []string{"mesh", "internal/canon", "internal/disklog", "internal/feed", "internal/frame", "internal/metrics", "internal/value", "internal/file"}, "sync stands on a mesh; compat is the one that knows of old nodes"},
	{"chord", []string{"mesh", "internal/"}, "chord stands on a mesh, beside sync; compat is the one that knows of old nodes"},
	{"compat", []string{"sync", "chord", "mesh", "compat/", "internal/"}, "compat stands on all of the library, and nothing on it"},
	{"compat/internal/wire", nil, "the old wire is bytes, and knows nothing of what they are for"},
	{"internal/", []string{"internal/"}, "internal packages serve the others and know none of them"},
	{"cmd/peer", []string{"cmd/peer/", "host", "mesh", "sync", "chord", "compat", "internal/"}, ""},
	{"cmd/peer/control", []string{"mesh", "sync", "chord", "compat", "internal/"}, "the control API shows what the library has, and does not configure it"},
	{"bench", []string{"mesh", "sync", "chord", "compat"}, "the bench uses what a user of the library has"},
	{"", nil, "the root has no code"},
}

// cores are the files that decide and touch nothing; see docs/design.md.
var cores = []string{
	"chord/id.go", "chord/lookup.go", "chord/placement.go", "chord/ring.go", "chord/store.go", "chord/wire.go",
	"compat/citizen.go", "compat/dictionary.go", "compat/farewell.go", "compat/guest.go", "compat/lookup.go", "compat/mark.go", "compat/mirror.go", "compat/pace.go", "compat/ring.go", "compat/rival.go", "compat/session.go", "compat/spread.go", "compat/stranger.go", "compat/values.go",
	"compat/internal/wire/base58.go", "compat/internal/wire/compress.go", "compat/internal/wire/frame.go", "compat/internal/wire/greeting.go", "compat/internal/wire/message.go",
	"compat/internal/wire/msgpack.go", "compat/internal/wire/packets.go", "compat/internal/wire/text.go", "compat/internal/wire/wire.go",
	"internal/recent/set.go",
	"mesh/conduct.go", "mesh/envelope.go", "mesh/fetch.go", "mesh/history.go", "mesh/liveness.go", "mesh/network.go", "mesh/question.go", "mesh/redial.go", "mesh/seen.go",
	"sync/lease.go", "sync/level.go", "sync/params.go", "sync/proof.go", "sync/reconcile.go", "sync/record.go", "sync/replica.go", "sync/seen.go", "sync/tree.go", "sync/wire.go",
}

func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		files[filepath.ToSlash(path)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(f *ast.File) []string {
	var paths []string
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

func within(pkg, pattern string) bool {
	return pkg == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(pkg+"/", pattern)
}

func TestArrowsBetweenPackages(t *testing.T) {
	for path, f := range goFiles(t) {
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), ".")
		i := slices.IndexFunc(arrows, func(a struct {
			from string
			to   []string
			why  string
		}) bool {
			return within(pkg, a.from)
		})
		if i < 0 {
			t.Errorf("%s: the package %s has no line in arrows", path, pkg)
			continue
		}
		for _, imp := range imports(f) {
			to, ours := strings.CutPrefix(imp, module)
			if ours && !slices.ContainsFunc(arrows[i].to, func(p string) bool { return within(to, p) }) {
				t.Errorf("%s imports %s: %s", path, to, arrows[i].why)
			}
			if strings.HasSuffix(imp, "/testnet") {
				t.Errorf("%s imports %s: that is for tests", path, imp)
			}
		}
	}
}

// A core file imports only what computes, and gets time and chance from outside.
func TestCoresDecideAndTouchNothing(t *testing.T) {
	allowed := []string{
		"bytes", "cmp", "crypto/hkdf", "crypto/hmac", "crypto/sha1", "crypto/sha256", "crypto/sha512", "encoding/binary", "encoding/hex", "errors",
		"fmt", "iter", "maps", "math", "math/bits", "math/rand/v2", "slices", "strconv", "strings", "time", "unicode/utf8",
		module + "internal/canon", module + "internal/recent", "github.com/tidwall/btree",
		// The old wire: bytes in memory, read and written by libraries that do nothing else.
		"compress/bzip2", "compress/gzip", "compress/zlib", "encoding/json", "io", "math/big", "github.com/klauspost/compress/snappy", "github.com/mr-tron/base58",
		"github.com/tinylib/msgp/msgp", "github.com/ulikunitz/xz", module + "compat/internal/wire", module + "internal/value",
	}
	banned := map[string]string{
		"time.Now": "the time is an argument", "time.Since": "the time is an argument", "time.Until": "the time is an argument",
		"time.After": "say a deadline instead", "time.Sleep": "say a deadline instead", "time.NewTimer": "say a deadline instead",
		"time.AfterFunc": "say a deadline instead", "time.NewTicker": "say a deadline instead", "time.Tick": "say a deadline instead",
		"fmt.Print": "return it", "fmt.Println": "return it", "fmt.Printf": "return it",
	}
	marked := 0
	for path, f := range goFiles(t) {
		isCore := slices.ContainsFunc(f.Comments, func(c *ast.CommentGroup) bool { return strings.HasPrefix(c.Text(), "CORE:") })
		if isCore {
			marked++
		}
		if isCore != slices.Contains(cores, path) {
			t.Errorf("%s: marked CORE is %v, but the list of cores says otherwise", path, isCore)
		}
		if !isCore {
			continue
		}
		for _, imp := range imports(f) {
			if !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s: a core touches nothing", path, imp)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", path)
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				if why, bad := banned[x.Name+"."+n.Sel.Name]; bad {
					t.Errorf("%s uses %s.%s: %s", path, x.Name, n.Sel.Name, why)
				}
				if x.Name == "rand" && n.Sel.Name != "Rand" {
					t.Errorf("%s uses rand.%s: chance is an argument", path, n.Sel.Name)
				}
			}
			return true
		})
	}
	if marked != len(cores) {
		t.Errorf("%d files are marked CORE, %d listed", marked, len(cores))
	}
}

// Every package says what it is.
func TestEveryPackageHasDoc(t *testing.T) {
	documented := map[string]bool{}
	for path, f := range goFiles(t) {
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || f.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}
