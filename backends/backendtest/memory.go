package backendtest

import (
	"io"
	"runtime"
	"sync"

	"github.com/regferry/regferry/backends"
)

var memoryCases = []testcase{
	{"P8 a large object in bounded memory", memory},
}

// memory puts and reads 100 MB or more and looks at the live heap, after a
// collection, each time 8 MiB more have passed. The bound is 48 MiB and four
// parts, and the object has at least twice that.
func memory(r *run) {
	if r.h.InMemory {
		r.Skip("the store holds contents in memory")
	}
	bound := 48<<20 + 4*r.h.PartSize
	p := pattern{1, max(100_000_000, 2*bound)}
	before := heap()
	var mu sync.Mutex
	var peak, next int64
	look := func(pos int64) {
		mu.Lock()
		defer mu.Unlock()
		if pos >= next {
			next = pos + 8<<20
			peak = max(peak, heap()-before)
		}
	}
	src := r.source(p.seed, p.size)
	src.chunk, src.before = 1<<20, look
	if err := r.put(r.ctx, "d/large", src); err != nil {
		r.Fatalf("Put: %v", err)
	}
	if peak > bound {
		r.Errorf("Put of %d MB holds %d MiB, the bound is %d MiB", p.size/1e6, peak>>20, bound>>20)
	}
	peak, next = 0, 0
	b, err := r.other().Open(r.ctx, "d/large", 0)
	if err != nil {
		r.Fatalf("Open: %v", err)
	}
	if err := p.check(&watched{Body: b, look: look}, 0); err != nil {
		r.Errorf("read: %v", err)
	}
	if err := b.Close(); err != nil {
		r.Errorf("Close: %v", err)
	}
	if peak > bound {
		r.Errorf("reading %d MB holds %d MiB, the bound is %d MiB", p.size/1e6, peak>>20, bound>>20)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

type watched struct {
	backends.Body
	pos  int64
	look func(int64)
}

var _ io.Reader = (*watched)(nil)

func (w *watched) Read(p []byte) (int, error) {
	w.look(w.pos)
	n, err := w.Body.Read(p)
	w.pos += int64(n)
	return n, err
}
