package go2p_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/testnet"
)

// patience is ten times what a command here takes on a slow machine.
const patience = 2 * time.Minute

// read returns a document.
func read(t *testing.T, file string) string {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// blocks returns the fenced blocks of a language in a document.
func blocks(t *testing.T, doc, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("there is no %s block", language)
	}
	return found
}

// A step is a command of a transcript and what it prints; … stands for anything.
type step struct {
	command string
	want    *regexp.Regexp
}

func steps(transcript string) []step {
	var list []step
	for _, part := range strings.Split("\n"+transcript, "\n$ ")[1:] {
		command, output, _ := strings.Cut(part, "\n")
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(output)), "…", ".*")
		list = append(list, step{command, regexp.MustCompile("(?s)^" + pattern + "$")})
	}
	return list
}

// A shell runs transcripts on a machine of its own, with the peer command.
type shell struct {
	t       *testing.T
	machine testnet.Machine
	dir     string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{t, testnet.LAN(t, 1)[0], t.TempDir()}
	s.build("peer", "./cmd/peer")
	return s
}

func (s *shell) build(name, pkg string) {
	s.t.Helper()
	out, err := exec.Command("go", "build", "-o", filepath.Join(s.dir, "bin", name), pkg).CombinedOutput()
	if err != nil {
		s.t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

func (s *shell) command(line string) *exec.Cmd {
	cmd := s.machine.Command("bash", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_STATE_HOME=", "PEER_DATA=", "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// background starts a command, and returns a function that returns the output so far.
func (s *shell) background(line string) func() string {
	s.t.Helper()
	cmd := s.command("exec " + line)
	var mu sync.Mutex
	var out, errs bytes.Buffer
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := pipe.Read(buf)
			mu.Lock()
			out.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", line, errs.String())
		}
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.TrimSpace(out.String())
	}
}

func (s *shell) run(line string) string {
	s.t.Helper()
	out, err := s.try(line)
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return out
}

func (s *shell) try(line string) (string, error) {
	cmd := s.command(line)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

// await calls get until the result matches.
func (s *shell) await(line string, want *regexp.Regexp, get func() string) {
	s.t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = get(); want.MatchString(got) {
			return
		}
	}
	s.t.Fatalf("%s\nprinted %s\ninstead of %s", line, got, want)
}

// slow matches the commands whose output is right only after a moment.
var slow = regexp.MustCompile(`^peer (mesh peers|bridge ls|bridge check|sync get kitchen)\b`)

// transcript runs a console block. The commands in slow are repeated until they print what
// the block shows. All others must print it at once.
func (s *shell) transcript(text string) {
	s.t.Helper()
	for _, st := range steps(text) {
		if line, ok := strings.CutSuffix(st.command, " &"); ok {
			s.await(st.command, st.want, s.background(line))
			continue
		}
		if slow.MatchString(st.command) {
			s.await(st.command, st.want, func() string {
				out, err := s.try(st.command)
				if err != nil {
					return err.Error()
				}
				return out
			})
			continue
		}
		if got := s.run(st.command); !st.want.MatchString(got) {
			s.t.Fatalf("%s\nprinted %s\ninstead of %s", st.command, got, st.want)
		}
	}
}

// The commands of README.md print what it shows, and its program works.
func TestReadme_DoesWhatItShows(t *testing.T) {
	s := newShell(t)
	for _, block := range blocks(t, read(t, "README.md"), "console") {
		s.transcript(block)
	}

	program := blocks(t, read(t, "README.md"), "go")[0]
	if n := strings.Count(program[strings.Index(program, "func main"):], "\n"); n > 25 {
		t.Errorf("the example has %d lines", n)
	}
	source := filepath.Join(s.dir, "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	s.build("answerer", source)
	printed := s.background("answerer")
	s.await("peer mesh peers", regexp.MustCompile(`(?s)12D3.*\n12D3`), func() string { return s.run("peer mesh peers") })
	s.run("peer mesh send ping")
	s.await("answerer", regexp.MustCompile(`broadcast \[ping\]`), printed)
	s.await("peer mesh recv", regexp.MustCompile("you said ping"), func() string { return s.run("peer mesh recv") })
}

// The commands and programs of docs/tutorial.md print what it shows.
func TestTutorial_DoesWhatItShows(t *testing.T) {
	s := newShell(t)
	doc, _, found := strings.Cut(read(t, "docs/tutorial.md"), oldChapter)
	if !found {
		t.Fatal("the chapters have other names")
	}
	for _, block := range blocks(t, doc, "console") {
		s.transcript(block)
	}
	programs, outputs := blocks(t, doc, "go"), blocks(t, doc, "text")
	if len(programs) != len(outputs) {
		t.Fatalf("%d programs and %d outputs", len(programs), len(outputs))
	}
	for i, program := range programs {
		source := filepath.Join(s.dir, "main.go")
		if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		s.build("program", source)
		if got := s.run("timeout 60 program"); got != strings.TrimSpace(outputs[i]) {
			t.Errorf("program %d printed\n%s\ninstead of\n%s", i, got, outputs[i])
		}
	}
}

const oldChapter = "\n## From an old network\n"

// The chapter on old networks shows what real old nodes print.
func TestTutorial_OldNetworksDoWhatItShows(t *testing.T) {
	installed := os.Getenv("GO2P_OLD")
	if installed == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("GO2P_OLD is not set, and CI needs the old peers")
		}
		t.Skip("needs real old peers: compat/testdata/old/install DIR, then GO2P_OLD=DIR")
	}
	s := newShell(t)
	_, doc, _ := strings.Cut(read(t, "docs/tutorial.md"), oldChapter)
	for _, m := range regexp.MustCompile("(?ms)^```python (.*?)\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		s.write(m[1], m[2])
	}
	shims, err := filepath.Abs("compat/testdata/old/shim_py")
	if err != nil {
		t.Fatal(err)
	}
	s.write("site/sitecustomize.py", "import collections.abc\ncollections.Hashable = collections.abc.Hashable\n") // which a dependency needs
	path := strings.Join([]string{s.dir + "/site", filepath.Join(installed, "py/0.7"), shims}, ":")
	s.write("bin/python", "#!/bin/sh\nPYTHONPATH="+path+" exec "+filepath.Join(installed, "venv/bin/python")+" \"$@\"\n")
	for _, block := range blocks(t, doc, "console") {
		s.transcript(block)
	}
}

// write writes a file, in the directory of the shell.
func (s *shell) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
}
