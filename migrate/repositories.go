package migrate

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// copyRepositories merges flat listings of both repository trees and lets only
// those repositories enter the protocol that differ, or that were never proved.
func (p *pass) copyRepositories(ctx context.Context) error {
	if err := p.sync(ctx); err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(p.Workers)
	lists := new(errgroup.Group)
	lists.SetLimit(p.listers())
	for _, prefix := range p.partitions() {
		lists.Go(func() error {
			err := p.survey(ctx, prefix, func(s *surveyed) {
				work.Go(func() error { return p.endOnFault(p.workOn(ctx, s)) })
			})
			if err != nil {
				work.Go(func() error { return err }) // ends the work that is under way
			}
			return err
		})
	}
	listed := lists.Wait()
	if err := work.Wait(); err != nil {
		return err
	}
	return listed
}

// partitions are the prefixes to list: of one repository, without those that
// are nested in it, or of all.
func (p *pass) partitions() []string {
	if len(p.Named) == 0 {
		return layout.Partitions()
	}
	prefixes := make([]string, len(p.Named))
	for i, name := range p.Named {
		prefixes[i] = layout.RepositoryPrefix(name) + "_"
	}
	return prefixes
}

// endOnFault ends the copies of the pass, which outlive the work that asked
// for them, when there is no use in them any more.
func (p *pass) endOnFault(err error) error {
	if errors.As(err, new(*Fault)) {
		p.end(err)
	}
	return err
}

// surveyed is what the flat listings say of one repository.
type surveyed struct {
	name                    string
	tags, revisions, layers int           // at the source
	links                   int           // that the destination lacks, or has with another size
	moved                   int           // tags that the destination lacks or has with other content
	unsure                  []verify.Pair // tags, to be compared
	other                   bool          // something else is missing
	same                    bool          // nothing is missing, and all closures were proved
	recheck                 []digest.Digest
}

// maxUnsure is how many tags wait to be compared before a batch is.
const maxUnsure = 256

// survey lists one partition and hands each repository of it that is to be
// worked on to work. The keys of one repository, and of no other, begin with
// its name and "/_", so they come one after the other.
func (p *pass) survey(ctx context.Context, prefix string, work func(*surveyed)) error {
	var at *surveyed
	for pr, err := range verify.Merge(p.list(ctx, p.src, prefix, ""), p.list(ctx, p.dst, prefix, "")) {
		if err != nil {
			return p.fail(ctx, err, prefix)
		}
		if err := p.Watch.pair(prefix, pr); err != nil {
			return p.endOnFault(err)
		}
		k := layout.Parse(pr.Key)
		if k.Repository == "" {
			if err := p.stray(ctx, k, pr); err != nil {
				return err
			}
			continue
		}
		if at == nil || at.name != k.Repository {
			if err := p.decide(ctx, at, work); err != nil {
				return err
			}
			at = &surveyed{name: k.Repository}
		}
		if err := p.look(ctx, at, k, pr); err != nil {
			return err
		}
	}
	if err := p.decide(ctx, at, work); err != nil {
		return err
	}
	return p.endOnFault(p.Watch.listed(prefix))
}

// stray carries an unknown object that belongs to no repository.
func (p *pass) stray(ctx context.Context, k layout.Key, pr verify.Pair) error {
	if p.globs.Some() {
		return nil
	}
	return p.carryNow(ctx, k, pr)
}

func (p *pass) carryNow(ctx context.Context, k layout.Key, pr verify.Pair) error {
	sh := p.loose()
	if err := sh.other(ctx, k, pr); err != nil {
		return err
	}
	sh.window.drain()
	return sh.failed()
}

// look takes one key of a repository into account.
func (p *pass) look(ctx context.Context, at *surveyed, k layout.Key, pr verify.Pair) error {
	if pr.Src == nil {
		if k.Kind == layout.TagLink {
			p.extraTag(k, pr)
		}
		return nil
	}
	differs := differs(pr)
	switch k.Kind {
	case layout.LayerLink:
		at.layers++
		p.linkToRecheck(at, k.Digest)
	case layout.RevisionLink:
		at.revisions++
		p.linkToRecheck(at, k.Digest)
	case layout.TagLink:
		at.tags++
		return p.lookTag(ctx, at, pr, differs)
	case layout.Upload, layout.Junk:
		if p.globs.Match(at.name) {
			p.skipped(k)
		}
		return nil
	case layout.Unknown:
		return p.lookUnknown(ctx, at, k, pr, differs)
	}
	if differs {
		at.links++
	}
	return nil
}

// differs says that the destination lacks what the source has, or that the
// listings tell sizes that are not the same.
func differs(pr verify.Pair) bool {
	return pr.Dst == nil || !unsizedPair(pr) && pr.Dst.Size != pr.Src.Size
}

// lookUnknown leaves to the protocol what lies where it lists, and carries
// the rest at once: a fork may keep a subtree of its own beside _manifests.
func (p *pass) lookUnknown(ctx context.Context, at *surveyed, k layout.Key, pr verify.Pair, differs bool) error {
	if !p.globs.Match(at.name) {
		return nil
	}
	listed := func(prefix string) bool { return strings.HasPrefix(pr.Key, prefix) }
	if !listed(layout.TagsPrefix(at.name)) && !listed(layout.RevisionsPrefix(at.name)) && !listed(layout.LayersPrefix(at.name)) {
		return p.carryNow(ctx, k, pr)
	}
	p.noteUnknown(k, pr.Key)
	at.other = at.other || differs
	if differs && p.dry() {
		p.tally.count(func(t *Totals) { t.UnknownDone++; t.UnknownBytes += max(pr.Src.Size, 0) })
	}
	return nil
}

// lookTag compares by content what the listing can, since all links have the
// same size, and leaves the rest for compare.
func (p *pass) lookTag(ctx context.Context, at *surveyed, pr verify.Pair, differs bool) error {
	switch {
	case differs:
		at.moved++
	case pr.Src.MD5 != nil && pr.Dst.MD5 != nil:
		if bytes.Equal(pr.Src.MD5, pr.Dst.MD5) {
			return p.sameTag(pr.Key, pr.Src.MD5)
		}
		at.moved++
	case p.dry() || at.moved == 0 && p.isProved(at.name):
		at.unsure = append(at.unsure, pr)
		if len(at.unsure) >= maxUnsure {
			return p.compare(ctx, at)
		}
	}
	return nil
}

// compare reads the links of the tags that the listings could not tell apart.
func (p *pass) compare(ctx context.Context, at *surveyed) error {
	tags := at.unsure
	at.unsure = nil
	same := make([]bool, len(tags))
	err := each(ctx, p.Workers, len(tags), func(ctx context.Context, i int) error {
		a, errA := p.sumOfLink(ctx, p.src, backends.Source, *tags[i].Src)
		b, errB := p.sumOfLink(ctx, p.dst, backends.Destination, *tags[i].Dst)
		// Whatever cannot be read is for the protocol to judge.
		same[i] = errA == nil && errB == nil && bytes.Equal(a, b)
		if !same[i] {
			return nil
		}
		return p.sameTag(tags[i].Key, a)
	})
	at.moved += len(tags)
	for _, s := range same {
		if s {
			at.moved--
		}
	}
	return err
}

func (p *pass) sameTag(key string, sum []byte) error {
	if len(sum) != md5.Size {
		return nil
	}
	k := layout.Parse(key)
	return p.endOnFault(p.Watch.same(k.Repository, k.Tag, [md5.Size]byte(sum)))
}

// sumOfLink is the MD5 of a link: of the listing, or else of what is read. A
// volume beside a bucket is read, and the bucket is not.
func (p *pass) sumOfLink(ctx context.Context, s backends.ReadStore, side backends.Side, o backends.Object) ([]byte, error) {
	if o.MD5 != nil {
		return o.MD5, nil
	}
	b, err := p.readSmall(ctx, s, side, o.Key, maxLink)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(b)
	return sum[:], nil
}

// decide ends the survey of a repository.
func (p *pass) decide(ctx context.Context, at *surveyed, work func(*surveyed)) error {
	if at == nil || !p.globs.Match(at.name) {
		return nil
	}
	if err := p.compare(ctx, at); err != nil {
		return err
	}
	p.progress.repository()
	if at.tags+at.revisions+at.layers+at.links == 0 && !at.other {
		return nil // nothing but uploads, or at the destination only
	}
	p.tally.count(func(t *Totals) {
		t.Repositories++
		t.Tags += int64(at.tags)
		t.Revisions += int64(at.revisions)
	})
	if p.dry() {
		p.tally.count(func(t *Totals) { t.Links += int64(at.links); t.TagsWritten += int64(at.moved) })
		p.Recorder.Repository(report.Repository{
			Name: at.name, Tags: at.tags, Revisions: at.revisions, Layers: at.layers, Written: at.links + at.moved,
		})
		return nil
	}
	at.same = at.links+at.moved == 0 && !at.other && p.isProved(at.name)
	if at.same {
		p.Shared.proved.Add(provedName(at.name)) // maybe by an earlier run: a hint asks no checkpoint
		p.Recorder.Repository(report.Repository{Name: at.name, Tags: at.tags, Revisions: at.revisions, Layers: at.layers})
	}
	if !at.same || len(at.recheck) > 0 {
		work(at)
	}
	return nil
}

// workOn does what the survey of a repository calls for.
func (p *pass) workOn(ctx context.Context, s *surveyed) error {
	if !s.same {
		if err := p.copyRepository(ctx, s); err != nil {
			return err
		}
	}
	return p.recheckBlobs(ctx, s)
}

// extraTag counts a tag that only the destination has. Only a mirror deletes.
func (p *pass) extraTag(k layout.Key, pr verify.Pair) {
	if !p.globs.Match(k.Repository) {
		return
	}
	p.tally.count(func(t *Totals) { t.TagsExtra++ })
	p.Recorder.Finding(report.Finding{
		Kind: report.Extra, Side: report.Destination, Severity: report.Notice,
		Key: pr.Key, Repository: k.Repository, Tag: k.Tag,
		Advice: "the source does not have this tag; delete it at the destination if it should not be there",
	})
}

// isProved says that every closure of the repository was proved by this
// migration, now or in an earlier run. One that was not is gone through again
// in each pass, so that what is broken in it is said again.
func (e *engine) isProved(repository string) bool {
	d := provedName(repository)
	s := e.Shared
	return (s.proved.Has(d) || e.before.Has(d)) && !s.doubted.Has(d) && !e.doubtedBefore.Has(d)
}

func (e *engine) prove(repository string) {
	e.Shared.proved.Add(provedName(repository))
	e.Shared.doubted.Remove(provedName(repository)) // all of it was gone through again, and is whole
	e.journal.prove(repository)
}

// doubt takes a proof back for good: damage was seen there, so every later pass
// of this migration goes through the repository again. The checkpoint has it
// before the damage is copied: a run that is killed after that must not leave
// one behind to which all looks well.
func (e *engine) doubt(repository string) error {
	d := provedName(repository)
	s := e.Shared
	s.doubting.Lock() // who comes second waits for the first to be durable
	defer s.doubting.Unlock()
	switch {
	case e.noted.Has(d):
		return nil
	case !s.doubted.Has(d) && !s.proved.Has(d) && !e.before.Has(d):
		return nil // what nobody has proved is gone through again anyway
	}
	if err := e.journal.doubt(repository); err != nil {
		return err
	}
	e.noted.Add(d) // another run may have no checkpoint
	s.doubted.Add(d)
	return nil
}

// each calls f for 0..n-1, at most limit at a time. It returns an error unless
// all were called.
func each(ctx context.Context, limit, n int, f func(ctx context.Context, i int) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(limit)
	for i := range n {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return f(inner, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}
