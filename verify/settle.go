package verify

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// Both sides may be in use: a listing is old by the time that it is read, a
// registry writes a tag's index before its link, some truncate a link before
// they write it, and a mirror is behind by a moment. So what would be called
// missing, extra or empty is asked for once more after a pause, a batch at a
// time.
const (
	settlePause = 300 * time.Millisecond
	settleBatch = 500    // blobs that wait for one pause
	maxDoubts   = 10_000 // in a run; a side that lacks more is not merely late
)

// doubtful says that there is still something to ask for once more.
func (r *run) doubtful() bool { return r.doubts.Add(1) <= maxDoubts }

// settle lets a push, a deletion or a mirror come to its end.
func (r *run) settle(ctx context.Context) error {
	if r.wait(ctx, settlePause) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// oneSided says that only one of two sides was listed with it.
func (r *run) oneSided(p Pair) bool { return r.comparing && (p.Src == nil) != (p.Dst == nil) }

// refresh asks both sides for what a listing did not have, and for what only
// the destination had, which may be deleted there as well. What cannot be asked
// for stays as it was listed.
func (r *run) refresh(ctx context.Context, key string, p *Pair) {
	ask := func(s *side, o **backends.Object) {
		if now, err := r.objectOf(ctx, s, key); err == nil {
			*o = now
		}
	}
	p.Key = key
	if !r.comparing {
		ask(&r.mine, &p.Src)
		return
	}
	if p.Dst == nil {
		ask(&r.mine, &p.Dst)
	}
	if p.Src != nil {
		return
	}
	if ask(&r.other, &p.Src); p.Src == nil && p.Dst != nil {
		ask(&r.mine, &p.Dst)
	}
}

// doubtedBlobs are those that one side was listed without.
type doubtedBlobs struct {
	*run
	all []blob
}

// blob deals with one at once, or with its batch after a pause.
func (l *doubtedBlobs) blob(ctx context.Context, b blob) error {
	if !l.oneSided(b.Pair) || !l.doubtful() {
		l.run.blob(ctx, b)
		return nil
	}
	if l.all = append(l.all, b); len(l.all) < settleBatch {
		return nil
	}
	return l.again(ctx)
}

// again deals with those that are left.
func (l *doubtedBlobs) again(ctx context.Context) error {
	if len(l.all) == 0 {
		return nil
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	for _, b := range l.all {
		b.now = true // in a worker
		l.start(func(ctx context.Context) {
			if l.refresh(ctx, b.Pair.Key, &b.Pair); b.Src != nil || b.Dst != nil {
				l.run.blob(ctx, b)
			}
		})
	}
	l.all = nil
	return nil
}

// doubtedLink is one that one side was listed without, or that is none.
type doubtedLink struct {
	layout.Key
	Pair
}

// doubtLink puts a link off until all of its repository is listed.
func (at *repository) doubtLink(k layout.Key, p Pair, sure bool) bool {
	if sure || !at.doubtful() {
		return false
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.doubted = append(at.doubted, doubtedLink{k, p})
	return true
}

// linksAgain deals with the links that were put off.
func (at *repository) linksAgain(ctx context.Context) error {
	all := at.doubted
	if at.doubted = nil; len(all) == 0 {
		return nil
	}
	if err := at.settle(ctx); err != nil {
		return err
	}
	err := at.each(ctx, len(all), func(i int) error {
		l := &all[i]
		if at.oneSided(l.Pair) {
			before := l.Pair
			at.refresh(ctx, l.Pair.Key, &l.Pair)
			at.recount(l.Key, before, l.Pair)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Src != nil || l.Dst != nil {
			at.linkNow(ctx, l.Key, l.Pair, true)
		}
	}
	_ = at.links.Wait() // its tasks report by themselves
	return context.Cause(ctx)
}

// twice calls f for 0..n-1, and after a pause once more for those that it
// doubts, of which it has reported nothing; sure says which time it is.
func (j *judge) twice(ctx context.Context, n int, f func(i int, sure bool) (doubt bool, err error)) error {
	var doubted []int
	err := j.each(ctx, n, func(i int) error {
		doubt, err := f(i, false)
		if doubt {
			j.mu.Lock()
			doubted = append(doubted, i)
			j.mu.Unlock()
		}
		return err
	})
	if err != nil || len(doubted) == 0 {
		return err
	}
	if err := j.settle(ctx); err != nil {
		return err
	}
	if err := j.askAgain(ctx); err != nil {
		return err
	}
	return j.each(ctx, len(doubted), func(n int) error {
		_, err := f(doubted[n], true)
		return err
	})
}

// doubts says that all that a verdict misses may be about to come, and notes
// the blobs.
func (j *judge) doubts(v Verdict) bool {
	for _, m := range v.Missing {
		if !j.mayCome(m) {
			return false
		}
	}
	if !j.doubtful() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ask == nil {
		j.ask = make(map[digest.Digest]bool)
	}
	for _, m := range v.Missing {
		if m.What == "blob" || m.What == "manifest" {
			j.ask[blobOf(m).Digest] = true
		}
	}
	return true
}

// mayCome is false for what is there and wrong, or cannot be read.
func (j *judge) mayCome(m Missing) bool {
	e := (*backends.Error)(nil)
	switch {
	case m.What == "readable manifest", errors.Is(m.Err, errWrong), errors.Is(m.Err, errUnread), errors.Is(m.Err, errTooLong):
		return false
	case errors.As(m.Err, &e) && e.Op == opSize, errors.Is(m.Err, layout.ErrLink):
		return false
	}
	return !j.run.mine.told(m.Digest) && !j.other.told(m.Digest)
}

// askAgain asks for the blobs of which the judged side was known to have none.
func (j *judge) askAgain(ctx context.Context) error {
	var all []digest.Digest
	for d := range j.ask {
		if j.lacking.Has(d) {
			all = append(all, d)
		}
	}
	j.ask = nil
	return j.each(ctx, len(all), func(i int) error {
		if o, err := j.objectOf(ctx, &j.run.mine, layout.BlobKey(all[i])); err == nil && o != nil {
			j.lacking.Remove(all[i])
		}
		return nil
	})
}
