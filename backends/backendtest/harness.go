package backendtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/regferry/regferry/backends"
)

// Harness is what the suite has to know of a store.
type Harness struct {
	// Open makes a fresh, empty store. The suite closes it.
	Open func(t *testing.T) backends.Store

	// Reopen makes another client of the same store, as another process would
	// have; the suite closes it too. May be nil, then s itself is asked.
	Reopen func(t *testing.T, s backends.Store) backends.Store

	// Leftovers names unfinished uploads and temporary files of s, wherever
	// they are. May be nil, then nothing is looked for.
	Leftovers func(t *testing.T, s backends.Store) []string

	// Truncate cuts a stored object to size bytes behind the store's back, as a
	// failing disk would. May be nil.
	Truncate func(t *testing.T, s backends.Store, key string, size int64)

	// FileUnderFile says that the store can hold "c" and "c/x" at once. If not,
	// the second one must be refused.
	FileUnderFile bool

	// LongSegments says that a name between two slashes may exceed 255 bytes.
	LongSegments bool

	// InMemory says that the store holds contents in this process, so that its
	// memory cannot be judged.
	InMemory bool

	// Resumes says that an interrupted Put of several parts must be resumable.
	Resumes bool

	// Deletes and Replaces say that the store is a Deleter and a ConditionalPutter.
	// What is not said here must not be.
	Deletes, Replaces bool

	// Unconditional says that the service ignores the conditions of PutIf, which
	// the store must find out.
	Unconditional bool

	// Empty names the directories of s that have no file in them, and those of a
	// tag without its link. It runs beside deletions. May be nil, where there are
	// no directories.
	Empty func(t *testing.T, s backends.Store) []string

	// PartSize is the size in bytes at which Put begins to cut an object, 0 if it
	// never does. Case sizes lie around it; the memory bound counts four.
	PartSize int64

	// Objects is how many the case about pages stores; 0 means 2,500.
	Objects int

	// Patience is how long one call may take before it is called stuck; 0
	// means 30 seconds.
	Patience time.Duration

	// Leaks are exceptions for the goroutine check of each case, such as the
	// idle connections of an SDK.
	Leaks []goleak.Option

	// Only, unless nil, has the beginnings of the names of the cases to be run,
	// for a store whose others were run in another configuration.
	Only []string

	// Violates names the cases that the store is known to fail, and why. They
	// must fail.
	Violates map[string]string

	// Sometimes names the cases that the store fails at times, by a race of its
	// own, and why. They are not run, since neither outcome says anything.
	Sometimes map[string]string
}

// Run runs all cases, each on a store of its own.
func Run(t *testing.T, h Harness) {
	for _, names := range []map[string]string{h.Violates, h.Sometimes} {
		for name := range names {
			if _, ok := caseNamed(name); !ok {
				t.Errorf("Violates or Sometimes names no case: %q", name)
			}
		}
	}
	for _, c := range cases() {
		if h.Only != nil && !slices.ContainsFunc(h.Only, func(start string) bool { return strings.HasPrefix(c.name, start) }) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if why, ok := h.Sometimes[c.name]; ok {
				t.Skipf("fails at times: %s", why)
			}
			why, known := h.Violates[c.name]
			if !known {
				c.try(t, t, h)
				return
			}
			if failed(t, func(tb testing.TB) { c.try(tb, t, h) }) == nil {
				t.Fatalf("this passes: take it out of Violates (%s)", why)
			}
			t.Skipf("known: %s", why)
		})
	}
}

// testcase is one way to break a rule.
type testcase struct {
	name string
	run  func(*run)
}

func cases() []testcase {
	var all []testcase
	for _, some := range [][]testcase{placeCases, listCases, readCases, putCases, cancelCases, keyCases, syncCases, resumeCases, memoryCases, tryCases, deleteCases, conditionCases} {
		all = append(all, some...)
	}
	return all
}

func caseNamed(name string) (testcase, bool) {
	for _, c := range cases() {
		if c.name == name {
			return c, true
		}
	}
	return testcase{}, false
}

// try runs the case on a fresh store, reporting to tb; t is for the harness.
func (c testcase) try(tb testing.TB, t *testing.T, h Harness) {
	if h.Objects == 0 {
		h.Objects = 2500
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	// A fake server in this process keeps a connection that broke off for half a
	// second, so that its last answer is not lost.
	linger := goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")
	leaks := append([]goleak.Option{goleak.IgnoreCurrent(), linger}, h.Leaks...)
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{TB: tb, t: t, h: h, ctx: ctx}
	defer func() {
		if !tb.Failed() { // a case that broke off may have left anything
			goleak.VerifyNone(tb, leaks...)
		}
	}()
	defer r.close()
	defer cancel()
	r.s = h.Open(t)
	c.run(r)
}
