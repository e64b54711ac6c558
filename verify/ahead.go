package verify

import (
	"iter"

	"github.com/regferry/regferry/backends"
)

// aheadBatch is how many objects a listing runs ahead of who reads it, two
// times over.
const aheadBatch = 64

// ahead is a listing in a goroutine of its own, so that both sides are listed
// at the same time. iter.Pull would do but for that, and for the race detector,
// which keeps some 100 KB for each coroutine that ever was.
type ahead struct {
	batches chan []listed
	quit    chan struct{}
	ended   chan struct{}
	batch   []listed
}

type listed struct {
	object backends.Object
	err    error
}

func listAhead(seq iter.Seq2[backends.Object, error]) *ahead {
	a := &ahead{batches: make(chan []listed, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	go a.run(seq)
	return a
}

func (a *ahead) run(seq iter.Seq2[backends.Object, error]) {
	defer close(a.ended)
	defer close(a.batches)
	size := 1 // at first: many a listing is broken off after its first object
	var batch []listed
	for o, err := range seq {
		if batch = append(batch, listed{o, err}); len(batch) < size {
			continue
		}
		if !a.send(batch) {
			return
		}
		size = min(2*size, aheadBatch)
		batch = make([]listed, 0, size)
	}
	if len(batch) > 0 {
		a.send(batch)
	}
}

func (a *ahead) send(batch []listed) bool {
	select {
	case a.batches <- batch:
		return true
	case <-a.quit:
		return false
	}
}

// next returns false at the end.
func (a *ahead) next() (backends.Object, error, bool) {
	if len(a.batch) == 0 {
		a.batch = <-a.batches
	}
	if len(a.batch) == 0 {
		return backends.Object{}, nil, false
	}
	l := a.batch[0]
	a.batch = a.batch[1:]
	return l.object, l.err, true
}

// stop ends the listing and waits for that.
func (a *ahead) stop() {
	close(a.quit)
	<-a.ended
}
