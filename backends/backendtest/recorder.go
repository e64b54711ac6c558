package backendtest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// recorder takes a case's complaints in the place of the test it runs in.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	skipped  bool
	lines    []string
	cleanups []func()
}

// failed runs a case and returns its complaints, nil if it has none. A case
// that skips itself makes the whole test skip.
func failed(t testing.TB, run func(testing.TB)) []string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine that calls it
		defer close(done)
		run(r)
	}()
	<-done
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	if r.skipped {
		t.Skip(r.lines)
	}
	if r.failed {
		return append(r.lines, "")
	}
	return nil
}

func (r *recorder) note(fail bool, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	r.failed = r.failed || fail
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) FailNow()                  { r.note(true, ""); runtime.Goexit() }
func (r *recorder) Fail()                     { r.note(true, "") }
func (r *recorder) Log(a ...any)              { r.note(false, fmt.Sprint(a...)) }
func (r *recorder) Logf(f string, a ...any)   { r.note(false, fmt.Sprintf(f, a...)) }
func (r *recorder) Error(a ...any)            { r.note(true, fmt.Sprint(a...)) }
func (r *recorder) Errorf(f string, a ...any) { r.note(true, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatal(a ...any)            { r.Error(a...); r.FailNow() }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); r.FailNow() }
func (r *recorder) Skip(a ...any)             { r.Log(a...); r.SkipNow() }
func (r *recorder) Skipf(f string, a ...any)  { r.Logf(f, a...); r.SkipNow() }
func (r *recorder) SkipNow()                  { r.skipped = true; runtime.Goexit() }
func (r *recorder) Skipped() bool             { return r.skipped }
func (r *recorder) Helper()                   {}
