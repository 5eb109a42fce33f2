package go2p_test

import (
	"bytes"
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

// patience is ten times what anything here takes on a slow machine.
const patience = 2 * time.Minute

// blocks returns the fenced blocks of a language in a document.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(doc), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("%s has no %s block", file, language)
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

// background starts a command and returns what it has printed so far.
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
	cmd := s.command(line)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// await asks until the answer matches, as a person would.
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

// transcript runs a console block. Who is a neighbour is asked until it is so;
// everything else must print what the block shows at once.
func (s *shell) transcript(text string) {
	s.t.Helper()
	for _, st := range steps(text) {
		if line, ok := strings.CutSuffix(st.command, " &"); ok {
			s.await(st.command, st.want, s.background(line))
			continue
		}
		if st.command == "peer mesh peers" {
			s.await(st.command, st.want, func() string { return s.run(st.command) })
			continue
		}
		if got := s.run(st.command); !st.want.MatchString(got) {
			s.t.Fatalf("%s\nprinted %s\ninstead of %s", st.command, got, st.want)
		}
	}
}

// What README.md shows is what happens.
func TestReadme(t *testing.T) {
	s := newShell(t)
	for _, block := range blocks(t, "README.md", "console") {
		s.transcript(block)
	}

	program := blocks(t, "README.md", "go")[0]
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

// What docs/tutorial.md shows is what happens.
func TestTutorial(t *testing.T) {
	s := newShell(t)
	for _, block := range blocks(t, "docs/tutorial.md", "console") {
		s.transcript(block)
	}
	programs, outputs := blocks(t, "docs/tutorial.md", "go"), blocks(t, "docs/tutorial.md", "text")
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
