package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// copy brings one object across, proved against d unless that is empty, and
// returns its size.
func (e *engine) copy(ctx context.Context, o backends.Object, d digest.Digest) (int64, error) {
	err := e.retry(ctx, again(o.Size), func(try int) error {
		if try > 0 || o.Size < 0 {
			now, err := e.stat(ctx, e.src, backends.Source, o.Key)
			if err != nil {
				return err
			}
			o = now
		}
		return e.copyOnce(ctx, o, d)
	})
	if err == nil {
		e.breaker.succeeded()
	}
	return o.Size, err
}

func (e *engine) copyOnce(ctx context.Context, o backends.Object, d digest.Digest) error {
	release, err := e.limits.copying(ctx, o.Size)
	if err != nil {
		return err
	}
	defer release()
	from := e.journal.upload(o.Key)
	err = e.put(ctx, o, d, from)
	if from.Token != "" && backends.ClassOf(err) == backends.Corrupt {
		// That may be the fault of what the earlier run left behind.
		e.journal.dropUpload(o.Key)
		err = e.put(ctx, o, d, backends.Upload{})
	}
	return err
}

func (e *engine) put(ctx context.Context, o backends.Object, d digest.Digest, from backends.Upload) error {
	c := content{engine: e, object: o, digest: d, from: from}
	_, err := e.out.Put(ctx, o.Key, backends.Content{
		Size: o.Size, Digest: d, Open: c.open, From: c.from,
		Saved: c.save,
	})
	if err != nil {
		e.progress.moved(-c.moved)
	}
	if err == nil && (c.saved || from.Token != "") {
		e.journal.dropUpload(o.Key)
	}
	return backends.At(backends.Destination, err)
}

// content is what one Put reads.
type content struct {
	*engine
	object backends.Object
	digest digest.Digest
	from   backends.Upload
	moved  int64
	saved  bool
}

func (c *content) save(u backends.Upload) error {
	c.saved = true
	return c.journal.saveUpload(c.object.Key, u)
}

func (c *content) open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	b, err := c.src.Open(ctx, c.object.Key, offset)
	if err != nil {
		return nil, backends.At(backends.Source, err)
	}
	if b.Object.Size >= 0 && b.Object.Size != c.object.Size && !verify.Provable(c.digest) {
		err := fmt.Errorf("it had %d bytes when it was listed and has %d now", c.object.Size, b.Object.Size)
		return nil, errors.Join(&backends.Error{Side: backends.Source, Op: "open", Key: c.object.Key, Class: backends.Changed, Err: err}, b.Close())
	}
	var body io.ReadCloser = b
	if c.limits.rate != nil {
		body = paced{b, ctx, c.limits.rate}
	}
	r := verify.NewReader(body, c.object.Key, c.object.Size, c.digest)
	if offset > 0 {
		if r, err = verify.Resume(body, c.object.Key, c.object.Size, c.digest, offset, c.from.Hash); err != nil {
			return nil, errors.Join(&backends.Error{Side: backends.Source, Op: "resume", Key: c.object.Key, Class: backends.Corrupt, Err: err}, body.Close())
		}
		c.count(offset)
	}
	return &sourceReader{r, c}, nil
}

func (c *content) count(n int64) {
	c.moved += n
	c.progress.moved(n)
}

// sourceReader names the side in every error and counts.
type sourceReader struct {
	*verify.Reader
	c *content
}

func (r *sourceReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.c.count(int64(n))
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract is the bare value
		err = backends.At(backends.Source, err)
	}
	return n, err
}

// stat asks one side for one object.
func (e *engine) stat(ctx context.Context, s backends.ReadStore, side backends.Side, key string) (backends.Object, error) {
	release, err := e.limits.request(ctx)
	if err != nil {
		return backends.Object{}, err
	}
	defer release()
	o, err := s.Stat(ctx, key)
	return o, backends.At(side, err)
}

// hashAt reads an object of one side and proves it.
func (e *engine) hashAt(ctx context.Context, s backends.ReadStore, side backends.Side, o backends.Object, d digest.Digest) error {
	return e.retry(ctx, againLarge, func(int) error {
		release, err := e.limits.copying(ctx, o.Size)
		if err != nil {
			return err
		}
		defer release()
		b, err := s.Open(ctx, o.Key, 0)
		if err != nil {
			return backends.At(side, err)
		}
		r := verify.NewReader(b, o.Key, o.Size, d)
		_, err = io.Copy(io.Discard, r)
		return backends.At(side, errors.Join(err, r.Close()))
	})
}

// copied notes a blob that has just been put.
func (p *pass) copied(shard string, k layout.Key) {
	p.blobs.Add(k.Digest)
	if verify.Provable(k.Digest) {
		p.journal.proved(shard, k.Digest)
		return
	}
	p.tally.count(func(t *Totals) { t.Unproved++ })
	p.Recorder.Finding(report.Finding{
		Kind: report.Unproved, Side: report.Transfer, Severity: report.Notice, Key: k.String(), Digest: k.Digest,
		Advice: "its digest algorithm cannot be computed here: only its size was checked",
	})
}

// blobFailed sorts out why a blob was not copied: gone from a live source,
// damaged there, or a failure.
func (p *pass) blobFailed(ctx context.Context, k layout.Key, err error) error {
	switch {
	case cancelled(ctx, err):
		return p.fail(ctx, err, k.String())
	case backends.SideOf(err) == backends.Source && errors.Is(err, fs.ErrNotExist):
		p.tally.count(func(t *Totals) { t.Vanished++ })
		return nil
	case backends.SideOf(err) == backends.Source && backends.ClassOf(err) == backends.Corrupt:
		p.corrupt(k, err)
		return nil
	}
	return p.fail(ctx, err, k.String())
}

// corrupt records a blob whose bytes at the source are not those of its name.
// It is never written: a registry does not upload what exists, so a bad copy
// would stand in the way of its own repair.
func (p *pass) corrupt(k layout.Key, err error) {
	p.mu.Lock()
	if p.bad == nil {
		p.bad = make(map[string]error)
	}
	_, known := p.bad[string(k.Digest)]
	if len(p.bad) < maxBad {
		p.bad[string(k.Digest)] = err
	}
	p.mu.Unlock()
	if known {
		return
	}
	p.tally.count(func(t *Totals) { t.Corrupt++ })
	p.Recorder.Finding(report.Finding{
		Kind: report.ContentCorrupt, Side: report.Source, Severity: report.Damage,
		Key: k.String(), Digest: k.Digest, Expected: string(k.Digest), Found: err.Error(),
		Advice: "delete this blob's directory at the source and push an image that has it again, or restore it from a backup",
	})
}

func (p *pass) knownBad(d digest.Digest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad[string(d)]
}
