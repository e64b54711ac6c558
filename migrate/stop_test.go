package migrate

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// Something never comes back: the end of the context ends the run all the same,
// and what was interrupted is no failure.
func TestCancelWhileBlocked(t *testing.T) {
	for name, arm := range map[string]func(f *faulty){
		"source: list": func(f *faulty) { f.from.On("list", nil, backendtest.Block().Always()) },
		"source: list, later": func(f *faulty) {
			f.from.On("list", backendtest.Key(layout.TagsPrefix(f.made.Repositories[0].Name)), backendtest.Block())
		},
		"source: in a listing": func(f *faulty) {
			f.from.On("list", backendtest.Key(layout.Root+"repositories/a"), backendtest.BlockAfter(3))
		},
		"source: open":              func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Block()) },
		"source: open all":          func(f *faulty) { f.from.On("open", nil, backendtest.Block().Always()) },
		"source: in a body":         func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.BlockAfter(7)) },
		"source: open a tag":        func(f *faulty) { f.from.On("open", backendtest.Key(aTagKey(f.made)), backendtest.Block()) },
		"destination: list":         func(f *faulty) { f.to.On("list", nil, backendtest.Block().Always()) },
		"destination: put":          func(f *faulty) { f.to.On("put", backendtest.Key(f.key), backendtest.Block()) },
		"destination: in a put":     func(f *faulty) { f.to.On("put", backendtest.Key(f.key), backendtest.BlockAfter(7)) },
		"destination: put all":      func(f *faulty) { f.to.On("put", nil, backendtest.Block().Always()) },
		"destination: put a tag":    func(f *faulty) { f.to.On("put", backendtest.Key(aTagKey(f.made)), backendtest.Block()) },
		"destination: sync":         func(f *faulty) { f.to.On("sync", nil, backendtest.Block()) },
		"destination: clean":        func(f *faulty) { f.to.On("clean", nil, backendtest.Block()) },
		"destination: put, delayed": func(f *faulty) { f.to.On("put", nil, backendtest.Delay(time.Hour).Always()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, writer(t, tempDir(t)))
			arm(f)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var start time.Time
			var canceller sync.WaitGroup
			canceller.Go(func() {
				select {
				case <-f.from.Fired():
				case <-f.to.Fired():
				case <-ctx.Done():
				}
				time.Sleep(20 * time.Millisecond) // others may come to a stand, too
				start = time.Now()
				cancel()
			})
			s, err := Run(ctx, f.src, f.dst, f.o)
			cancel()
			canceller.Wait()
			if !errors.Is(err, context.Canceled) || errors.As(err, new(*Fault)) {
				t.Errorf("%+v, %v", s, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if s.Last().Failed+s.Last().Held+s.Last().SourceDamage() != 0 {
				t.Errorf("%+v", s.Last())
			}
			treeOf(t, f.bare).sound(t)
		})
	}
}

// The cause of the end is what Run returns.
func TestCancelWithCause(t *testing.T) {
	dir, _ := small(t)
	why := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &watched{Store: memory(t), before: func(string) { cancel(why) }}
	if _, err := Run(ctx, reader(t, dir), w, quick()); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// While it waits for the next try, the end of the context ends it.
func TestCancelWhileWaiting(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.from.On("open", nil, backendtest.Fail(backends.Throttled).Always())
	f.o.sleep = nil
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	s, err := Run(ctx, f.src, f.dst, f.o)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 3*time.Second || s.Last().Failed != 0 {
		t.Errorf("after %v: %+v, %v", time.Since(start), s, err)
	}
}

// A wish to stop: what is under way is finished, nothing is started, and the
// next run goes on.
func TestStop(t *testing.T) {
	for _, kind := range []layout.Kind{layout.Blob, layout.LayerLink, layout.RevisionLink, layout.TagLink} {
		t.Run(kind.String(), func(t *testing.T) {
			dir, made := small(t)
			at := tempDir(t)
			stop := make(chan struct{})
			o := quick()
			o.Stop = stop
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			var mu sync.Mutex
			begun, ended, late := 0, 0, 0
			stopped := false
			w := &watched{Store: writer(t, at)}
			w.before = func(key string) {
				mu.Lock()
				defer mu.Unlock()
				if begun++; stopped {
					late++
				}
				if !stopped && layout.Parse(key).Kind == kind {
					stopped = true
					close(stop)
				}
			}
			w.after = func(op, _ string) {
				mu.Lock()
				defer mu.Unlock()
				if op == "put" {
					ended++
				}
			}
			s, err := Run(t.Context(), reader(t, dir), watch(w), o)
			if !errors.Is(err, context.Canceled) || errors.As(err, new(*Fault)) {
				t.Fatalf("%+v, %v", s, err)
			}
			if s.Last().Undone() != 0 || begun != ended {
				t.Errorf("%d begun, %d ended, %+v", begun, ended, s.Last())
			}
			// Who had been let through before may still begin.
			if late > o.Workers {
				t.Errorf("%d were begun after the wish to stop", late)
			}
			after := treeOf(t, reader(t, at))
			after.sound(t)
			// What the wish cuts off is links at most.
			if n := len(after); n < begun-o.Workers || kind == layout.Blob && n < begun {
				t.Errorf("%d objects are there, %d puts ended", n, ended)
			}
			o.Stop = nil
			got, _ := transfer(t, reader(t, dir), writer(t, at), o)
			clean(t, got)
			same(t, treeOf(t, reader(t, at)), treeOf(t, reader(t, dir)))
			if got.Blobs != int64(len(made.Blobs)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A blob that is brought for a repository is finished as well.
func TestStopOfAChoice(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.to.On("put", func(key string) bool { return layout.Parse(key).Kind == layout.Blob }, backendtest.Delay(50*time.Millisecond).Always())
	stop := make(chan struct{})
	f.o.Stop, f.o.Repositories = stop, []string{"**"}
	var once sync.Once
	var mu sync.Mutex
	begun := 0
	w := &watched{Store: f.dst, before: func(key string) {
		if layout.Parse(key).Kind == layout.Blob {
			once.Do(func() { close(stop) })
			mu.Lock()
			begun++
			mu.Unlock()
		}
	}}
	s, err := Run(t.Context(), f.src, w, f.o)
	if !errors.Is(err, context.Canceled) || s.Last().Undone() != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	blobs := treeOf(t, f.bare).without(func(k layout.Key) bool { return k.Kind != layout.Blob })
	if len(blobs) != begun || begun == 0 || begun > f.o.Workers {
		t.Errorf("%d blobs were begun, %d are there", begun, len(blobs))
	}
}

// What ends the work on one repository does not reach another that waits for
// the same blob.
func TestSharedBlobOfAFailingRepository(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.dir, f.made = registry(t, layouttest.Shape{Seed: 1, Repositories: 2, Tags: 1, Layers: 8, Shared: 0.6})
	f.src = f.from.WrapRead(reader(t, f.dir))
	one, other := f.made.Repositories[0], f.made.Repositories[1]
	f.src = lateFailure{f.src, layout.LayersPrefix(one.Name), len(one.Layers) - 1, 30 * time.Millisecond}
	f.to.On("put", func(key string) bool { return layout.Parse(key).Kind == layout.Blob }, backendtest.Delay(100*time.Millisecond).Always())
	f.o.Repositories = []string{"**"}
	f.o.Workers = 32
	got, n := f.run()
	if got.Failed != 1 || n.failures[0].Op != "list" {
		t.Errorf("%+v, %+v", got, n.failures)
	}
	after := treeOf(t, f.bare)
	after.sound(t)
	if shown := after.shown(); len(shown) != len(other.Tags) {
		t.Errorf("shown: %q", shown)
	}
}

// late is a store that takes links of layers only when it is said so.
type late struct {
	backends.Store
	now <-chan struct{}
}

func (l late) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if layout.Parse(key).Kind == layout.LayerLink {
		select {
		case <-l.now:
		case <-ctx.Done():
			return backends.Object{}, ctx.Err()
		}
	}
	return l.Store.Put(ctx, key, c)
}

// A fault while a repository is at work ends what is under way elsewhere.
func TestFaultOfAChoice(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.from.On("open", backendtest.Key(f.key), backendtest.Block())
	f.to.On("put", func(key string) bool { return layout.Parse(key).Kind == layout.LayerLink }, backendtest.Fail(backends.Full).Always())
	f.o.Repositories, f.o.Workers = []string{"**"}, 200 // more than there are links to wait
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := Run(ctx, f.src, late{f.dst, f.from.Fired()}, f.o)
	var fault *Fault
	if !errors.As(err, &fault) || backends.ClassOf(err) != backends.Full || ctx.Err() != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// Stopped before it began, it does nothing.
func TestStoppedFromTheStart(t *testing.T) {
	dir, _ := small(t)
	stop := make(chan struct{})
	close(stop)
	o := quick()
	o.Stop = stop
	dst := memory(t)
	if _, err := Run(t.Context(), reader(t, dir), dst, o); !errors.Is(err, context.Canceled) || len(treeOf(t, dst)) != 0 {
		t.Errorf("%v", err)
	}
}
