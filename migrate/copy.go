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
	}, backends.Source, backends.Destination)
	return o.Size, err
}

func (e *engine) copyOnce(ctx context.Context, o backends.Object, d digest.Digest) error {
	from := e.unfinished(o.Key, d)
	if from.Token == "" && e.copyByService(ctx, o, d) {
		return nil
	}
	release, err := e.limits.copying(ctx, o.Size)
	if err != nil {
		return err
	}
	defer release()
	err = e.put(ctx, o, d, from)
	if from.Token != "" && backends.ClassOf(err) == backends.Corrupt {
		// That may be the fault of what the earlier run left behind.
		e.journal.dropUpload(o.Key)
		err = e.put(ctx, o, d, backends.Upload{})
	}
	return err
}

// unfinished is where an earlier try stopped, if the whole can be proved in the
// end. Else it may have been part of another version of the object, and nothing
// would tell.
func (e *engine) unfinished(key string, d digest.Digest) backends.Upload {
	if verify.Provable(d) {
		return e.journal.upload(key)
	}
	e.journal.dropUpload(key)
	return backends.Upload{}
}

// minByService is the size from which on a copy by the service, which takes
// up to three requests, is less than two requests and the bytes.
const minByService = 1 << 20

// copyByService says whether the service copied and proved the object itself.
// Why not does not matter: reading it will tell, if anything is wrong.
func (e *engine) copyByService(ctx context.Context, o backends.Object, d digest.Digest) bool {
	if e.copier == nil || o.Size < minByService || !verify.Provable(d) || !e.copier.CopiesFrom(e.src) {
		return false
	}
	release, err := e.limits.request(ctx)
	if err != nil {
		return false
	}
	defer release()
	if e.copier.CopyFrom(ctx, e.src, o, d) != nil {
		return false
	}
	e.progress.moved(o.Size)
	e.now.Load().tally.count(func(t *Totals) { t.ByService++ })
	return true
}

func (e *engine) put(ctx context.Context, o backends.Object, d digest.Digest, from backends.Upload) error {
	c := content{engine: e, object: o, digest: d, from: from}
	content := backends.Content{Size: o.Size, Digest: d, Open: c.open, From: c.from}
	if verify.Provable(d) {
		content.Saved = c.save
	}
	_, err := e.out.Put(ctx, o.Key, content)
	if err != nil {
		e.progress.moved(-c.moved)
	}
	if err == nil && (c.saved || from.Token != "") {
		e.journal.dropUpload(o.Key)
	}
	return backends.At(backends.Destination, sourceOf(err))
}

// sourceOf is what the source said, if it was the source: that the destination
// was reading it just then is of no use to who reads the error.
func sourceOf(err error) error {
	var e *backends.Error
	for rest := err; errors.As(rest, &e); rest = e.Err {
		if e.Side == backends.Source {
			return e
		}
	}
	return err
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
	c.breaker.answered(backends.Destination)
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
	body := verify.Paced(ctx, b, c.Shared.rate)
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
	if n > 0 {
		r.c.breaker.answered(backends.Source)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract is the bare value
		err = backends.At(backends.Source, err)
	}
	return n, err
}

// ask is stat, tried again. That it went well does not say that objects can be
// read or written.
func (e *engine) ask(ctx context.Context, s backends.ReadStore, side backends.Side, key string) (o backends.Object, err error) {
	err = e.retry(ctx, 0, func(int) error {
		if o, err = e.stat(ctx, s, side, key); err == nil {
			e.breaker.answered(side)
		}
		return err
	})
	return o, err
}

// stat asks one side for one object, once.
func (e *engine) stat(ctx context.Context, s backends.ReadStore, side backends.Side, key string) (backends.Object, error) {
	release, err := e.limits.request(ctx)
	if err != nil {
		return backends.Object{}, err
	}
	defer release()
	o, err := s.Stat(ctx, key)
	return o, backends.At(side, err)
}

// proveThere proves an object of the destination: by the digest that the
// service keeps, if it keeps one, else by reading.
func (e *engine) proveThere(ctx context.Context, o backends.Object, d digest.Digest) error {
	if err := e.storedDigest(ctx, o, d); !errors.Is(err, errNotStored) {
		return err
	}
	return e.retry(ctx, againLarge, func(int) error {
		release, err := e.limits.copying(ctx, o.Size)
		if err != nil {
			return err
		}
		defer release()
		b, err := e.dst.Open(ctx, o.Key, 0)
		if err != nil {
			return backends.At(backends.Destination, err)
		}
		r := verify.NewReader(b, o.Key, o.Size, d)
		_, err = io.Copy(heardFrom{e}, r)
		return backends.At(backends.Destination, errors.Join(err, r.Close()))
	}, backends.Destination)
}

// heardFrom discards what is read from the destination and takes note that it
// answers.
type heardFrom struct{ *engine }

func (h heardFrom) Write(p []byte) (int, error) {
	h.breaker.answered(backends.Destination)
	return len(p), nil
}

var errNotStored = errors.New("the service keeps no digest of it")

func (e *engine) storedDigest(ctx context.Context, o backends.Object, d digest.Digest) error {
	if e.reporter == nil {
		return errNotStored
	}
	release, err := e.limits.request(ctx)
	if err != nil {
		return err
	}
	defer release()
	sum, size, err := e.reporter.StoredDigest(ctx, o.Key)
	switch {
	case err != nil || sum == "" || sum.Algorithm() != d.Algorithm():
		return errNotStored // who reads it will see what is wrong
	case sum == d && size == o.Size:
		return nil
	}
	wrong := fmt.Errorf("the service says that it has the digest %s and %d bytes", sum, size)
	return &backends.Error{Side: backends.Destination, Op: "stat", Key: o.Key, Class: backends.Corrupt, Err: wrong}
}

// copied notes a blob that has just been put, unless a Sync has lost it since.
func (p *pass) copied(shard string, k layout.Key) {
	p.blobs.Add(k.Digest)
	if p.chosen(k.Digest) {
		p.rechecked.Add(k.Digest)
	}
	if verify.Provable(k.Digest) {
		p.journal.proved(shard, k.Digest)
	}
	if p.failedBefore(k.String()) != nil {
		p.forget(k.Digest)
	}
	if verify.Provable(k.Digest) {
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
