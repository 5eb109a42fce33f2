package go2p_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/p2p-today/go2p/"

// arrows has the packages of this module that each package may import, and why no others.
// A trailing slash includes what lies below.
var arrows = []struct {
	from string
	to   []string
	why  string
}{
	{"host", []string{"internal/"}, "host is a leaf: a user who has a libp2p host needs nothing from it"},

	{"mesh", []string{"mesh/internal/", "internal/"}, "mesh stands on libp2p's host.Host alone, so that any host will do"},
	{"mesh/internal/", []string{"mesh/internal/", "internal/"}, "a core of mesh knows only cores and primitives"},

	{"sync", []string{"mesh", "sync/internal/", "internal/"}, "sync stands on a mesh; compat is the one that knows of old nodes"},
	{"sync/internal/", []string{"sync/internal/", "internal/"}, "a core of sync knows only cores and primitives"},

	{"chord", []string{"mesh", "chord/internal/", "internal/"}, "chord stands on a mesh, beside sync; compat is the one that knows of old nodes"},
	{"chord/internal/", []string{"chord/internal/", "internal/"}, "a core of chord knows only cores and primitives"},

	{"compat", []string{"sync", "chord", "mesh", "compat/internal/", "internal/"}, "compat stands on all of the library, and nothing on it"},
	{"compat/bridge", []string{"sync", "chord", "mesh", "compat", "compat/bridge/internal/", "compat/internal/", "internal/"}, "the bridge joins what compat and the library have"},
	{"compat/bridge/internal/", []string{"compat/bridge/internal/", "compat/internal/", "internal/"}, "a core of the bridge knows only cores and primitives"},
	{"compat/internal/wire", []string{"internal/"}, "the old wire is bytes, and knows nothing of what they are for"},
	{"compat/internal/", []string{"compat/internal/", "internal/"}, "a core of compat knows only cores and primitives"},

	{"internal/meshtest", []string{"mesh", "internal/"}, "fixtures for tests of what stands on a mesh"},
	{"internal/", []string{"internal/"}, "internal packages serve the others and know none of them"},

	{"cmd/peer", []string{"cmd/peer/", "host", "mesh", "sync", "chord", "compat", "compat/bridge", "internal/"}, ""},
	{"cmd/peer/", []string{"cmd/peer/", "mesh", "sync", "chord", "compat", "compat/bridge", "internal/"}, "the control API shows what the library has, and does not configure it"},

	{"docs/", []string{"mesh", "sync", "chord"}, "an example uses what a user of the library has"},
	{"bench", []string{"mesh", "sync", "chord", "compat", "compat/bridge"}, "the bench uses what a user of the library has"},
	{"", nil, "the root has no code"},
}

// forTests are the packages that only tests may import, and each other.
var forTests = []string{"internal/meshtest", "internal/oldpeers", "internal/testnet"}

// computing are the primitives that cores may import. The rules of cores hold for them, too.
var computing = []string{"internal/backoff", "internal/dcbor", "internal/intervalset", "internal/ttlset", "internal/value"}

// isCore reports whether the rules of cores hold for a package: for those below the internal/ of an owner, and for the
// primitives in computing. See docs/design.md.
func isCore(pkg string) bool {
	if slices.Contains(computing, pkg) {
		return true
	}
	owner, _, below := strings.Cut(pkg, "/internal/")
	return below && slices.Contains([]string{"mesh", "sync", "chord", "compat", "compat/bridge"}, owner)
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

func TestHouse_ArrowsGoOneWay(t *testing.T) {
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
			if slices.Contains(forTests, to) && !slices.Contains(forTests, pkg) {
				t.Errorf("%s imports %s: that is for tests", path, imp)
			}
		}
	}
}

// A core imports only packages that compute, starts no goroutine and takes no lock. It gets the time and a random
// source as arguments.
func TestHouse_CoresTouchNothing(t *testing.T) {
	allowed := []string{
		"bytes", "cmp", "crypto/hkdf", "crypto/hmac", "crypto/sha1", "crypto/sha256", "crypto/sha512", "encoding/binary", "encoding/hex", "errors",
		"fmt", "iter", "maps", "math", "math/bits", "math/rand/v2", "slices", "strconv", "strings", "time", "unicode/utf8",
		"github.com/tidwall/btree",
		// CBOR and the data model.
		"encoding/base64", "github.com/fxamacker/cbor/v2", "reflect",
		// The old wire: bytes in memory, read and written by libraries that do nothing else.
		"compress/bzip2", "compress/gzip", "compress/zlib", "encoding/json", "io", "math/big", "github.com/klauspost/compress/snappy", "github.com/mr-tron/base58",
		"github.com/tinylib/msgp/msgp", "github.com/ulikunitz/xz",
	}
	banned := map[string]string{
		"time.Now": "the time is an argument", "time.Since": "the time is an argument", "time.Until": "the time is an argument",
		"time.After": "say a deadline instead", "time.Sleep": "say a deadline instead", "time.NewTimer": "say a deadline instead",
		"time.AfterFunc": "say a deadline instead", "time.NewTicker": "say a deadline instead", "time.Tick": "say a deadline instead",
		"fmt.Print": "return it", "fmt.Println": "return it", "fmt.Printf": "return it",
	}
	for path, f := range goFiles(t) {
		if !isCore(filepath.ToSlash(filepath.Dir(path))) {
			continue
		}
		for _, imp := range imports(f) {
			if to, ours := strings.CutPrefix(imp, module); !slices.Contains(allowed, imp) && !(ours && isCore(to)) {
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
}

// A struct is small enough to keep in mind. Options, states and messages have as many fields as there are things to
// say.
func TestHouse_StructsAreSmall(t *testing.T) {
	const most = 20
	long := regexp.MustCompile("(?i)(options|status|flags)$")
	eachStruct(t, func(path, name string, fields []*ast.Field) {
		n, wire := 0, strings.HasSuffix(filepath.Dir(path), "/wire")
		for _, f := range fields {
			n += max(1, len(f.Names))
			wire = wire || f.Tag != nil && regexp.MustCompile("(cbor|json):").MatchString(f.Tag.Value)
		}
		if n > most && !wire && !long.MatchString(name) {
			t.Errorf("%s: %s has %d fields, at most %d: which of them belong together?", path, name, n, most)
		}
	})
}

// The types that users hold are façades. Each lock, and the state that it guards, is in a component.
func TestHouse_FacadesHaveNoLock(t *testing.T) {
	facades := []string{
		"mesh.Mesh", "sync.Dict", "chord.Table", "compat.MeshNode", "compat.SyncNode", "compat.ChordNode", "bridge.Bridge",
	}
	found := 0
	eachStruct(t, func(path, name string, fields []*ast.Field) {
		name = filepath.Base(filepath.Dir(path)) + "." + name
		if !slices.Contains(facades, name) {
			return
		}
		found++
		for _, f := range fields {
			if typ := types.ExprString(f.Type); strings.HasSuffix(typ, "sync.Mutex") || strings.HasSuffix(typ, "sync.RWMutex") {
				t.Errorf("%s: %s has a lock: which component owns the state that it guards?", path, name)
			}
		}
	})
	if found != len(facades) {
		t.Errorf("%d of the façades %v were found", found, facades)
	}
}

// eachStruct calls f for each struct type that has a name.
func eachStruct(t *testing.T, f func(path, name string, fields []*ast.Field)) {
	t.Helper()
	for path, file := range goFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					f(path, spec.Name.Name, s.Fields.List)
				}
			}
			return true
		})
	}
}

// The primitives stand once: a store, a signal, a back-off.
func TestHouse_PrimitivesStandOnce(t *testing.T) {
	signal := regexp.MustCompile(`make\(chan struct\{\}, 1\)`)
	for path, f := range goFiles(t) {
		if strings.HasPrefix(path, "internal/") || strings.HasPrefix(path, "bench/") {
			continue
		}
		if slices.Contains(imports(f), "github.com/cockroachdb/pebble/v2") {
			t.Errorf("%s imports pebble: internal/kvstore opens stores and reads and writes their rows", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if signal.Match(text) {
			t.Errorf("%s makes a channel for one signal: internal/notify has the Flag", path)
		}
	}
}

// Every package has a package comment.
func TestHouse_EveryPackageHasDoc(t *testing.T) {
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
