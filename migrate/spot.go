package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// The answers to the questions of a closure. Each is given from what the
// listings said; failing that the source is asked, since a push may have come
// after the listing; and what is missing at the destination is copied there
// and then.

func (r *repository) revision(ctx context.Context, d digest.Digest) error {
	if r.known.Has(d) {
		return nil
	}
	key := layout.RevisionKey(r.name, d)
	if err := r.failedBefore(key); err != nil {
		return err
	}
	got, err := r.readLink(ctx, r.src, backends.Source, key)
	if err != nil {
		return r.noLink(ctx, key, err)
	}
	if got != d {
		return absent(key, fmt.Errorf("its link holds %s", got))
	}
	r.mu.Lock()
	r.late = append(r.late, &revision{digest: d})
	r.mu.Unlock()
	r.known.Add(d)
	return nil
}

func (r *repository) layer(ctx context.Context, d digest.Digest) error {
	if r.layers.Has(d) {
		return nil
	}
	key := layout.LayerKey(r.name, d)
	if err := r.failedBefore(key); err != nil {
		return err
	}
	if _, err := r.readLink(ctx, r.src, backends.Source, key); err != nil {
		return r.noLink(ctx, key, err)
	}
	wrote, err := r.copyLink(ctx, key)
	if err != nil {
		return failed(r.fail(ctx, err, key), err)
	}
	if !wrote {
		return absent(key, errNoLink)
	}
	r.layers.Add(d)
	return nil
}

// blob is that of the pass, and counts what is asked beyond the blob pass, when
// it begins and when it has ended, for syncAsked.
func (r *repository) blob(ctx context.Context, d digest.Digest) error {
	if r.blobs.Has(d) {
		return nil
	}
	r.asked.Add(1)
	defer r.asked.Add(1)
	return r.pass.blob(ctx, d)
}

// alias returns what the layer link of d holds: a registry links a layer that
// was asked for by another digest to the blob of its own.
func (r *repository) alias(ctx context.Context, d digest.Digest) (digest.Digest, error) {
	key := layout.LayerKey(r.name, d)
	target, err := r.readLink(ctx, r.src, backends.Source, key)
	if err != nil {
		return "", r.noLink(ctx, key, err)
	}
	return target, nil
}

// blob has the blob d brought to the destination, by one worker, however many
// repositories ask for it at the same time. So the copy is the pass's: what ends
// the work on the one that asked first, or a wish to stop, does not end it.
func (p *pass) blob(ctx context.Context, d digest.Digest) error {
	if p.blobs.Has(d) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err, _ := p.spot.Do(string(d), func() (any, error) { return nil, p.fetch(p.ctx, d) })
	return err
}

func (p *pass) fetch(ctx context.Context, d digest.Digest) error {
	if p.blobs.Has(d) {
		return nil
	}
	k := layout.Parse(layout.BlobKey(d))
	if err := p.failedBefore(k.String()); err != nil {
		return err
	}
	there, errThere := p.ask(ctx, p.dst, backends.Destination, k.String())
	if errThere != nil && !isMissing(errThere) {
		return failed(p.fail(ctx, errThere, k.String()), errThere)
	}
	if err := p.knownBad(d); err != nil {
		return p.instead(ctx, k, err, there, errThere)
	}
	o, err := p.ask(ctx, p.src, backends.Source, k.String())
	switch {
	case err == nil && errThere == nil && there.Size == o.Size:
		return p.onBothSides(ctx, k, o, there)
	case isMissing(err) && errThere == nil:
		p.blobs.Add(d)
		return nil
	case isMissing(err):
		return err
	case err != nil:
		return failed(p.fail(ctx, err, k.String()), err)
	}
	return p.fetchNow(ctx, k, o, errThere == nil)
}

// instead answers for a blob that is corrupt at the source: the destination may
// have a good one, from an earlier and better day.
func (p *pass) instead(ctx context.Context, k layout.Key, bad error, there backends.Object, errThere error) error {
	if errThere == nil {
		errThere = p.proveThere(ctx, there, k.Digest)
	}
	switch {
	case errThere == nil:
		p.blobs.Add(k.Digest)
		return nil
	case isMissing(errThere), backends.ClassOf(errThere) == backends.Corrupt:
		return absent(k.String(), bad)
	}
	return failed(p.fail(ctx, errThere, k.String()), errThere)
}

// onBothSides takes a blob as right, or proves it where that is asked for and
// no blob pass has done it.
func (p *pass) onBothSides(ctx context.Context, k layout.Key, o, there backends.Object) error {
	if !p.globs.Some() || !p.toRecheck(k.Digest) {
		p.blobs.Add(k.Digest)
		return nil
	}
	err := p.proveThere(ctx, there, k.Digest)
	switch {
	case err == nil:
		p.blobs.Add(k.Digest)
		p.rechecked.Add(k.Digest)
		p.tally.count(func(t *Totals) { t.Present++; t.Rechecked++ })
		return nil
	case backends.ClassOf(err) == backends.Corrupt || isMissing(err):
		return p.fetchNow(ctx, k, o, true)
	}
	return failed(p.fail(ctx, err, k.String()), err)
}

func (p *pass) fetchNow(ctx context.Context, k layout.Key, o backends.Object, replace bool) error {
	if replace && !verify.Provable(k.Digest) {
		err := otherSize(k.String())
		return failed(p.fail(ctx, err, k.String()), err)
	}
	n, err := p.copy(ctx, o, k.Digest)
	switch {
	case err == nil:
	case backends.SideOf(err) == backends.Source && isMissing(err):
		return err
	case backends.SideOf(err) == backends.Source && backends.ClassOf(err) == backends.Corrupt:
		p.corrupt(k, err)
		return absent(k.String(), err)
	default:
		return failed(p.fail(ctx, err, k.String()), err)
	}
	p.tally.count(func(t *Totals) {
		t.CopiedBytes += n
		if replace {
			t.Replaced++
		} else {
			t.Copied++
		}
	})
	p.progress.done()
	p.Watch.wrote(k.String())
	p.copied(otherShard, k)
	return nil
}

// manifest brings the manifest d to the destination and returns its bytes,
// read at the source: a store that buys durability in groups does not show
// yet what was just put.
func (r *repository) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	r.asked.Add(1)
	if err := r.blob(ctx, d); err != nil {
		return nil, err
	}
	key := layout.BlobKey(d)
	data, err := r.readSmall(ctx, r.src, backends.Source, key, verify.MaxManifest)
	if isMissing(err) {
		data, err = r.readSmall(ctx, r.dst, backends.Destination, key, verify.MaxManifest)
	}
	switch {
	case backends.ClassOf(err) == backends.Corrupt:
		return nil, absent(key, err)
	case err != nil && isMissing(err):
		return nil, err
	case err != nil:
		return nil, failed(r.fail(ctx, err, key), err)
	case verify.Provable(d) && d.Algorithm().FromBytes(data) != d:
		err := &backends.Error{Side: backends.Source, Op: "read", Key: key, Class: backends.Corrupt, Err: fmt.Errorf("its content has the digest %s", d.Algorithm().FromBytes(data))}
		r.corrupt(layout.Parse(key), err)
		return nil, absent(key, err)
	}
	return data, nil
}

// absent is the answer for what is there but as good as missing.
func absent(key string, err error) error {
	return &backends.Error{Side: backends.Source, Op: "read", Key: key, Class: backends.NotFound, Err: err}
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// noLink sorts out why a link at the source could not be read.
func (p *pass) noLink(ctx context.Context, key string, err error) error {
	switch {
	case isMissing(err):
		return err
	case errors.Is(err, layout.ErrLink):
		return absent(key, err)
	}
	return failed(p.fail(ctx, err, key), err)
}

// notTransferred is a failure that has been recorded where it happened: what
// depends on the object is held back, and nothing more is said.
type notTransferred struct{ error }

// failed returns end if the run is to end, else err as one that is recorded.
func failed(end, err error) error {
	if end != nil {
		return end
	}
	return notTransferred{err}
}

// ignoreFailure returns nil for what is recorded, else what ends the run.
func ignoreFailure(err error) error {
	var known notTransferred
	if errors.As(err, &known) {
		return nil
	}
	return err
}

// noteUnknown counts an object that a registry does not write.
func (p *pass) noteUnknown(k layout.Key, key string) {
	p.tally.count(func(t *Totals) { t.Unknown++ })
	p.Recorder.Finding(report.Finding{
		Kind: report.UnknownObject, Side: report.Source, Severity: report.Notice, Key: key, Repository: k.Repository,
		Advice: "a registry does not write this; it is carried byte for byte",
	})
}
