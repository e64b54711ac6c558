package filesystem

import (
	"context"
	"slices"

	"github.com/regferry/regferry/backends"
)

// Sync makes durable and visible what was Put before. Calls at the same time
// share the work. It cannot be cancelled while the disk works.
func (s *Store) Sync(ctx context.Context) error {
	if s.each {
		return ctx.Err()
	}
	return s.queue.sync(ctx)
}

func (q *queue) sync(ctx context.Context) error {
	q.mu.Lock()
	target := q.filling
	if len(target.items) == 0 {
		target = q.running
	}
	order := q.renamed
	if target != nil {
		order = target.order
	}
	from := q.told
	q.syncing++
	q.mu.Unlock()

	err := q.await(ctx, target)
	if err == nil {
		err = q.settle(ctx, order)
	}
	return q.report(err, from)
}

// placed returns when what was Put to a key, if anything, has been renamed to it.
func (q *queue) placed(ctx context.Context, key string) error {
	q.mu.Lock()
	var target *group
	for _, g := range []*group{q.running, q.filling} {
		if g != nil && slices.ContainsFunc(g.items, func(it item) bool { return it.key == key }) {
			target = g
		}
	}
	q.mu.Unlock()
	return q.await(ctx, target)
}

// await returns when the group has been renamed.
func (q *queue) await(ctx context.Context, target *group) error {
	for target != nil {
		q.mu.Lock()
		if q.broken != nil || q.renamed >= target.order {
			defer q.mu.Unlock()
			return q.broken
		}
		if q.running == nil {
			q.start()
		}
		wait := q.running.done
		q.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settle returns when the renames of the group order are durable.
func (q *queue) settle(ctx context.Context, order int64) error {
	select {
	case q.disk <- struct{}{}:
		defer func() { <-q.disk }()
	case <-ctx.Done():
		return ctx.Err()
	}
	q.mu.Lock()
	renamed := q.renamed
	if q.broken != nil || q.durable >= order {
		defer q.mu.Unlock()
		return q.broken
	}
	q.mu.Unlock()
	err := q.syncfs()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.fail(err)
		return q.broken
	}
	q.durable = max(q.durable, renamed)
	return nil
}

// report adds the failures since from, which each Sync that ran at the time
// returns. A Sync that failed as a whole leaves them to the next.
func (q *queue) report(err error, from int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	failed := q.failed[from:]
	if err == nil {
		q.told = len(q.failed)
	}
	q.syncing--
	if q.syncing == 0 && q.told == len(q.failed) {
		q.failed, q.told = nil, 0
	}
	if err == nil && len(failed) > 0 {
		return &backends.SyncError{Failed: failed}
	}
	return err
}
