package filesystem

import (
	"context"
	"sync"
	"time"

	"github.com/regferry/regferry/backends"
)

// A group is renamed to its keys when it has this many objects or bytes, or
// when an object comes and its first one is this old. A process that is killed
// loses at most what two groups hold. At most one group is being committed
// while the next one fills; when that is full too, Put waits. So memory is that
// of 512 keys.
const (
	groupObjects = 256
	groupBytes   = 64 << 20
	groupAge     = time.Second
)

// maxFailed bounds the failures that wait for a Sync to report them.
const maxFailed = 1024

type group struct {
	items []item
	bytes int64
	born  time.Time
	done  chan struct{} // closed when it was renamed, or the queue broke
	order int64         // of the groups, from 1
}

func (g *group) full() bool {
	return len(g.items) >= groupObjects || g.bytes >= groupBytes || len(g.items) > 0 && time.Since(g.born) >= groupAge
}

// queue makes objects durable and visible in groups: syncfs, rename each in
// the order of Put, and once more syncfs when a Sync asks for it.
type queue struct {
	place  func(item) *backends.Error
	drop   func(...item)
	syncfs func() error

	mu      sync.Mutex
	filling *group
	running *group // nil: none
	renamed int64  // order of the last group that was renamed
	durable int64  // order of the last group whose renames are durable
	broken  error  // after it nothing is sure, and nothing is written
	failed  []*backends.Error
	told    int // how many of failed a Sync has returned
	syncing int // how many Syncs run

	disk chan struct{} // one syncfs of a Sync at a time: who waited finds it done
}

func (q *queue) init(s *Store) {
	q.place, q.drop, q.syncfs = s.place, s.drop, s.tree.syncfs
	if !syncfsTells() {
		q.syncfs = s.syncBoth
	}
	q.filling = newGroup(1)
	q.disk = make(chan struct{}, 1)
}

// syncBoth is for a syncfs that says nothing of the journal.
func (s *Store) syncBoth() error {
	if err := s.tree.syncfs(); err != nil {
		return err
	}
	return s.scratch.syncJournal()
}

func newGroup(order int64) *group { return &group{done: make(chan struct{}), order: order} }

// refuses returns why nothing more can be written, if so.
func (q *queue) refuses() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken == nil && len(q.failed)-q.told >= maxFailed {
		return backends.Refuse(q.failed[q.told].Class, "too many objects before this one failed, the first with: "+q.failed[q.told].Error())
	}
	return q.broken
}

func (q *queue) usable() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.broken == nil
}

// add takes an item over, and waits while two groups are full.
func (q *queue) add(ctx context.Context, it item) error {
	for {
		q.mu.Lock()
		if q.broken != nil {
			q.mu.Unlock()
			return q.broken
		}
		if q.filling.full() && q.running == nil {
			q.start()
		}
		if g := q.filling; !g.full() {
			if len(g.items) == 0 {
				g.born = time.Now()
			}
			g.items = append(g.items, it)
			g.bytes += it.size
			if q.running == nil && g.full() {
				q.start()
			}
			q.mu.Unlock()
			return nil
		}
		wait := q.running.done
		q.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start commits the group that fills. The lock is held, and none is running.
func (q *queue) start() {
	g := q.filling
	q.running, q.filling = g, newGroup(g.order+1)
	go q.commit(g)
}

func (q *queue) commit(g *group) {
	err := q.syncfs()
	var failed []*backends.Error
	if err == nil {
		for _, it := range g.items {
			if e := q.place(it); e != nil {
				failed = append(failed, e)
			}
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = append(q.failed, failed...)
	if err != nil {
		q.fail(err)
		q.drop(g.items...)
	} else {
		// The syncfs above covered the renames of the group before.
		q.durable = max(q.durable, g.order-1)
		q.renamed = g.order
	}
	q.running = nil
	close(g.done)
	if q.broken == nil && q.filling.full() {
		q.start()
	}
}

// fail ends all writing: Linux reports a page that could not be written once,
// then takes it for clean, so a later syncfs that succeeds proves nothing.
func (q *queue) fail(err error) {
	if q.broken != nil {
		return
	}
	q.broken = fail("sync", "", err)
}

// close waits for the group that is being committed. What still fills was
// refused a Sync, so it is dropped.
func (q *queue) close() {
	for {
		q.mu.Lock()
		if q.filling != nil {
			q.drop(q.filling.items...)
			q.filling = newGroup(q.filling.order)
		}
		running := q.running
		q.mu.Unlock()
		if running == nil {
			return
		}
		<-running.done
	}
}
