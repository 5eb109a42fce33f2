package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var rewrite = flag.Bool("rewrite", false, "write what scripts print to the files that they compare it with")

// TestScripts runs testdata/script/*.txt: stories of peers on loopback, told by their command lines. Beside the
// commands of [testscript], a script has these:
//
//	up NAME [FLAG…]             starts a peer; $NAME is its address, $NAME_id its ID, $NAME_data its directory
//	                            and $NAME_pid its process
//	NAME ARG… [< FILE]          runs a command that talks to the peer; "! NAME …" must fail
//	peer ARG… [< FILE]          runs a command with the data directory $WORK/none; if it fails, it must
//	                            fail with --json, too, and print an object with the same exit code
//	api NAME METHOD PATH [BODY] sends a request to the peer's control API; prints the status and the answer
//	code N                      compares the exit code of the last command
//	neighbours NAME [NAME…]     waits until the first peer has exactly the others as neighbours
//	eventually REGEXP NAME ARG… repeats a command until its output matches
//	begin NAME ARG…             starts a command
//	end                         waits until the command of begin is over; "! end" wants it to fail
//	crash NAME                  kills a peer with SIGKILL
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *rewrite,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[storyKey{}] = &story{peers: map[string]*peerProcess{}}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"up":         scriptUp,
			"peer":       scriptPeer,
			"api":        scriptAPI,
			"code":       scriptCode,
			"neighbours": scriptNeighbours,
			"eventually": scriptEventually,
			"begin":      scriptBegin,
			"end":        scriptEnd,
			"crash":      scriptCrash,
		},
	})
}

// A story is what a script has going.
type story struct {
	peers map[string]*peerProcess
	last  int         // exit code
	begun chan result // of begin
}

type storyKey struct{}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// finish makes a result that of the script's last command.
func (s *story) finish(ts *testscript.TestScript, neg bool, r result) {
	ts.Stdout().Write([]byte(r.out))
	ts.Stderr().Write([]byte(r.err))
	s.last = r.code
	if neg != (r.code != 0) {
		ts.Fatalf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// scriptT lets a peerProcess fail its script.
type scriptT struct{ *testscript.TestScript }

func (scriptT) Helper()             {}
func (scriptT) Failed() bool        { return true }
func (t scriptT) Cleanup(f func())  { t.Defer(f) }
func (t scriptT) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// piped cuts "< FILE" off the arguments of a command and reads the file.
func piped(ts *testscript.TestScript, args []string) (in string, rest []string) {
	if n := len(args) - 2; n >= 0 && args[n] == "<" {
		return ts.ReadFile(args[n+1]), args[:n]
	}
	return "", args
}

func scriptUp(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	s := storyOf(ts)
	p := up(scriptT{ts}, ts.MkAbs(name), args[1:]...)
	s.peers[name] = p
	ts.Setenv(name, p.addr())
	ts.Setenv(name+"_id", p.ID)
	ts.Setenv(name+"_data", p.dir)
	ts.Setenv(name+"_pid", strconv.Itoa(p.cmd.Process.Pid))
	ts.SetCmd(name, func(ts *testscript.TestScript, neg bool, args []string) {
		in, args := piped(ts, args)
		s.finish(ts, neg, p.pipe(in, args...))
	})
}

func scriptPeer(ts *testscript.TestScript, neg bool, args []string) {
	in, args := piped(ts, args)
	args = append([]string{"--data", ts.MkAbs("none")}, args...)
	r := command(in, args...)
	if r.code != 0 && !slices.Contains(args, "--") {
		j := command(in, append(args, "--json")...)
		var e struct{ Exit int }
		if err := json.Unmarshal([]byte(j.err), &e); err != nil || e.Exit != r.code || j.code != r.code || j.out != "" {
			ts.Fatalf("exit code %d with --json, %v\n%s%s", j.code, err, j.out, j.err)
		}
	}
	storyOf(ts).finish(ts, neg, r)
}

func scriptAPI(ts *testscript.TestScript, _ bool, args []string) {
	p := storyOf(ts).peers[args[0]]
	req, err := http.NewRequest(args[1], "http://peer"+args[2], strings.NewReader(strings.Join(args[3:], "")))
	ts.Check(err)
	resp, err := p.http().Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.StatusCode)
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

func scriptCode(ts *testscript.TestScript, _ bool, args []string) {
	if got := strconv.Itoa(storyOf(ts).last); got != args[0] {
		ts.Fatalf("exit code %s", got)
	}
}

func scriptNeighbours(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	var want []*peerProcess
	for _, name := range args[1:] {
		want = append(want, s.peers[name])
	}
	s.peers[args[0]].neighbours(want...)
}

func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	s := storyOf(ts)
	var r result
	eventually(scriptT{ts}, func() bool { r = s.peers[args[1]].peer(args[2:]...); return want.MatchString(r.out + r.err) },
		func() string { return "it goes on to print " + r.out + r.err })
	s.finish(ts, r.code != 0, r)
}

func scriptBegin(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	p, done := s.peers[args[0]], make(chan result, 1)
	go func() { done <- p.peer(args[1:]...) }()
	s.begun = done
}

func scriptEnd(ts *testscript.TestScript, neg bool, _ []string) {
	s := storyOf(ts)
	s.finish(ts, neg, <-s.begun)
}

func scriptCrash(ts *testscript.TestScript, _ bool, args []string) {
	storyOf(ts).peers[args[0]].kill()
}
