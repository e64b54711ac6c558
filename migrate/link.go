package migrate

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// maxLink is longer than any link: the longest digest has 135 bytes.
const maxLink = 1 << 10

// readLink reads a link and holds it to its form. What is not a link is an
// error for which errors.Is(err, layout.ErrLink) holds.
func (e *engine) readLink(ctx context.Context, s backends.ReadStore, side backends.Side, key string) (digest.Digest, error) {
	var d digest.Digest
	more := 0
	if side == backends.Source { // where a registry may be writing it
		more = againSmall
	}
	err := e.retry(ctx, more, func(int) (err error) {
		d, err = e.readLinkOnce(ctx, s, side, key)
		return err
	}, side)
	return d, err
}

func (e *engine) readLinkOnce(ctx context.Context, s backends.ReadStore, side backends.Side, key string) (digest.Digest, error) {
	data, err := e.readOnce(ctx, s, side, key, maxLink)
	switch {
	case backends.ClassOf(err) == backends.Corrupt:
		return "", &backends.Error{Side: side, Op: "read", Key: key, Class: backends.Corrupt, Err: errors.Join(layout.ErrLink, err)}
	case err != nil:
		return "", err
	}
	d, err := layout.ParseLink(data)
	if err != nil {
		return "", &backends.Error{Side: side, Op: "read", Key: key, Class: backends.Corrupt, Err: err}
	}
	return d, nil
}

// copyLink copies one link that is written once. It returns false without an
// error for what cannot be copied and is no failure: gone from the source, or
// no link there. An empty link would stop a registry's garbage collection at
// the destination as it does at the source.
func (p *pass) copyLink(ctx context.Context, key string) (wrote bool, err error) {
	d, err := p.readLink(ctx, p.src, backends.Source, key)
	switch {
	case isMissing(err):
		p.tally.count(func(t *Totals) { t.Vanished++ })
		return false, nil
	case errors.Is(err, layout.ErrLink):
		p.malformed(key, err)
		return false, nil
	case err != nil:
		return false, err
	}
	if err := p.writeLink(ctx, key, d); err != nil {
		return false, err
	}
	p.tally.count(func(t *Totals) { t.Links++ })
	return true, nil
}

func (e *engine) writeLink(ctx context.Context, key string, d digest.Digest) error {
	data := []byte(d)
	err := e.retry(ctx, 0, func(int) error {
		release, err := e.limits.request(ctx)
		if err != nil {
			return err
		}
		defer release()
		_, err = e.out.Put(ctx, key, backends.Content{
			Size: int64(len(data)),
			Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(data[offset:])), nil
			},
		})
		return backends.At(backends.Destination, err)
	}, backends.Destination)
	if err == nil {
		e.Watch.wrote(key)
	}
	return err
}

func (p *pass) malformed(key string, err error) {
	p.tally.count(func(t *Totals) { t.Malformed++ })
	k := layout.Parse(key)
	p.Recorder.Finding(report.Finding{
		Kind: report.LinkMalformed, Side: report.Source, Severity: report.Damage,
		Key: key, Repository: k.Repository, Tag: k.Tag, Digest: k.Digest,
		Expected: "a digest", Found: err.Error(),
		Advice: "it is not copied; push the image again at the source, or delete this link there",
	})
}
