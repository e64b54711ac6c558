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
	got, err := r.readLink(ctx, r.src, backends.Source, layout.RevisionKey(r.name, d))
	if err != nil {
		return missingIfMalformed(err)
	}
	if got != d {
		return absent(layout.RevisionKey(r.name, d), fmt.Errorf("its link holds %s", got))
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
	if _, err := r.readLink(ctx, r.src, backends.Source, key); err != nil {
		return missingIfMalformed(err)
	}
	wrote, err := r.copyLink(ctx, key)
	if err != nil {
		return failed(r.fail(ctx, err, key), err)
	}
	if wrote {
		r.layers.Add(d)
	}
	return nil
}

// blob has the blob d brought to the destination, by one worker, however many
// repositories ask for it at the same time.
func (p *pass) blob(ctx context.Context, d digest.Digest) error {
	if p.blobs.Has(d) {
		return nil
	}
	_, err, _ := p.spot.Do(string(d), func() (any, error) { return nil, p.fetch(ctx, d) })
	return err
}

func (p *pass) fetch(ctx context.Context, d digest.Digest) error {
	if p.blobs.Has(d) {
		return nil
	}
	k := layout.Parse(layout.BlobKey(d))
	if err := p.knownBad(d); err != nil {
		return absent(k.String(), err)
	}
	there, errThere := p.stat(ctx, p.dst, backends.Destination, k.String())
	if errThere != nil && !errors.Is(errThere, fs.ErrNotExist) {
		return failed(p.fail(ctx, errThere, k.String()), errThere)
	}
	o, err := p.stat(ctx, p.src, backends.Source, k.String())
	switch {
	case err == nil && errThere == nil && there.Size == o.Size:
		p.blobs.Add(d)
		return nil
	case errors.Is(err, fs.ErrNotExist) && errThere == nil:
		p.blobs.Add(d)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		return failed(p.fail(ctx, err, k.String()), err)
	}
	return p.fetchNow(ctx, k, o, errThere == nil)
}

func (p *pass) fetchNow(ctx context.Context, k layout.Key, o backends.Object, replace bool) error {
	n, err := p.copy(ctx, o, k.Digest)
	switch {
	case err == nil:
	case backends.SideOf(err) == backends.Source && errors.Is(err, fs.ErrNotExist):
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
	p.copied(otherShard, k)
	return nil
}

// manifest brings the manifest d to the destination and returns its bytes,
// read at the source: a store that buys durability in groups does not show
// yet what was just put.
func (r *repository) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	if err := r.blob(ctx, d); err != nil {
		return nil, err
	}
	key := layout.BlobKey(d)
	data, err := r.readSmall(ctx, r.src, backends.Source, key, verify.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
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

func missingIfMalformed(err error) error {
	if errors.Is(err, layout.ErrLink) {
		return fmt.Errorf("%w: %w", backends.NotFound, err)
	}
	return err
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
