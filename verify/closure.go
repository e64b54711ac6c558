package verify

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// Closure judges whether revisions of one repository are whole: whether
// everything that a pull of them asks for is there. Each function answers nil
// when the thing is there, an error for which errors.Is(err, fs.ErrNotExist)
// holds when it is missing for good, and any other error when it is not
// known. They may be called concurrently.
//
// A registry answers a manifest only with a revision link in that very
// repository, and a layer or config only with a layer link; so links are part
// of the closure, not only blobs.
type Closure struct {
	Revision func(ctx context.Context, d digest.Digest) error
	Layer    func(ctx context.Context, d digest.Digest) error
	Blob     func(ctx context.Context, d digest.Digest) error
	// Size answers whether the blob d, which is there, has so many bytes, as a
	// manifest says; if not, as for one that is missing. May be nil.
	Size func(ctx context.Context, d digest.Digest, bytes int64) error
	// Link returns what the layer link of d holds. It is asked only when the
	// blob d is missing: a link may be an alias of a blob by another digest.
	Link func(ctx context.Context, d digest.Digest) (digest.Digest, error)
	// Manifest returns the bytes of a manifest, proved against d.
	Manifest func(ctx context.Context, d digest.Digest) ([]byte, error)

	mu     sync.Mutex
	judged map[digest.Digest]*judgement // of this repository: bounded by its revisions
}

type judgement struct {
	once    sync.Once
	verdict Verdict
	err     error
}

// Verdict is what was found out about one revision.
type Verdict struct {
	Children []digest.Digest // manifests that it names itself
	Depth    int             // 0 for what has no children, else one more than the deepest child
	Missing  []Missing       // what a pull would not get; empty when whole; at most maxMissing
}

// Whole says that a pull gets everything.
func (v Verdict) Whole() bool { return len(v.Missing) == 0 }

// Missing is one thing that a revision needs and that is not there.
type Missing struct {
	What   string          // revision link, layer link, blob, manifest, readable manifest
	Digest digest.Digest   // of the thing
	Chain  []digest.Digest // from the judged revision down to what names the thing
	Err    error
}

const (
	maxMissing = 8  // kept of each revision; one is enough to call it broken
	maxDepth   = 32 // of indexes in indexes; a registry's clients give up long before
)

// ErrTooDeep is the answer to indexes nested beyond any use.
var ErrTooDeep = errors.New("indexes are nested too deep")

// Judge returns the verdict on the revision d. An error means that it could
// not be reached: something could not be asked. The verdict on a whole
// revision is kept; any other is asked for again by the next call, since on a
// live registry what is missing now may be about to come, or on its way out.
func (c *Closure) Judge(ctx context.Context, d digest.Digest) (Verdict, error) {
	return c.judge(ctx, d, way{known: make(map[digest.Digest]Verdict)})
}

// way is how one Judge has come to a revision.
type way struct {
	// known are the verdicts that are not kept beyond this Judge. Without them,
	// indexes that name two of the next level each would be asked for as often as
	// there are ways to them, which doubles with each level.
	known map[digest.Digest]Verdict
	depth int
	alone bool // something above has a name that does not prove its content
}

func (c *Closure) judge(ctx context.Context, d digest.Digest, w way) (Verdict, error) {
	if v, ok := w.known[d]; ok {
		return v, nil
	}
	if w.depth > maxDepth {
		return Verdict{Missing: []Missing{{What: "readable manifest", Digest: d, Err: ErrTooDeep}}}, nil
	}
	// A digest names its content, so references form no circle and waiting for
	// another goroutine's judgement of a child cannot deadlock. A digest that
	// cannot be computed here proves nothing: what bears it may name whatever
	// names it. So from there on nobody is waited for, and the depth ends it.
	if w.alone = w.alone || !Provable(d); w.alone {
		v, err := c.ask(ctx, d, w)
		if err == nil {
			w.known[d] = v
		}
		return v, err
	}
	c.mu.Lock()
	if c.judged == nil {
		c.judged = make(map[digest.Digest]*judgement)
	}
	j := c.judged[d]
	if j == nil {
		j = new(judgement)
		c.judged[d] = j
	}
	c.mu.Unlock()
	j.once.Do(func() { j.verdict, j.err = c.ask(ctx, d, w) })
	if j.err != nil || !j.verdict.Whole() {
		c.forget(d, j)
	}
	if j.err == nil && !j.verdict.Whole() {
		w.known[d] = j.verdict
	}
	return j.verdict, j.err
}

func (c *Closure) forget(d digest.Digest, j *judgement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged[d] == j {
		delete(c.judged, d)
	}
}

func (c *Closure) ask(ctx context.Context, d digest.Digest, w way) (Verdict, error) {
	v := Verdict{}
	if err := v.need("revision link", d, d, c.Revision(ctx, d)); err != nil {
		return v, err
	}
	data, err := c.Manifest(ctx, d)
	if err != nil {
		return v, v.need("manifest", d, d, err)
	}
	m, err := layout.ParseManifest(data)
	if err != nil {
		v.add(Missing{What: "readable manifest", Digest: d, Chain: []digest.Digest{d}, Err: err})
		return v, nil
	}
	for _, r := range m.References {
		if err := c.reference(ctx, &v, d, r, w); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (c *Closure) reference(ctx context.Context, v *Verdict, d digest.Digest, r layout.Reference, w way) error {
	switch {
	case r.Role == layout.Subject, r.Foreign:
		return nil // may be absent: the one by the OCI distribution specification, the other by its urls
	case r.Role == layout.Child:
		return c.child(ctx, v, d, r.Digest, w)
	case r.Role == layout.Either:
		err := c.Revision(ctx, r.Digest)
		if err == nil {
			return c.child(ctx, v, d, r.Digest, w)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := v.need("layer link", r.Digest, d, c.Layer(ctx, r.Digest)); err != nil {
		return err
	}
	return v.need("blob", r.Digest, d, c.layerBlob(ctx, r.Digest, r.Size))
}

func (c *Closure) layerBlob(ctx context.Context, d digest.Digest, size int64) error {
	missing := c.Blob(ctx, d)
	if missing == nil {
		return c.size(ctx, d, size)
	}
	if !errors.Is(missing, fs.ErrNotExist) {
		return missing
	}
	target, err := c.Link(ctx, d)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil, target == d:
		return missing
	}
	if err := c.Blob(ctx, target); err != nil {
		return err
	}
	return c.size(ctx, target, size)
}

func (c *Closure) size(ctx context.Context, d digest.Digest, size int64) error {
	if c.Size == nil || size < 0 {
		return nil
	}
	return c.Size(ctx, d, size)
}

func (c *Closure) child(ctx context.Context, v *Verdict, parent, d digest.Digest, w way) error {
	w.depth++
	sub, err := c.judge(ctx, d, w)
	if err != nil {
		return err
	}
	v.Children = append(v.Children, d)
	v.Depth = max(v.Depth, sub.Depth+1)
	for _, m := range sub.Missing {
		m.Chain = append([]digest.Digest{parent}, m.Chain...)
		v.add(m)
	}
	return nil
}

// need notes a missing thing and passes on what is no answer.
func (v *Verdict) need(what string, d, by digest.Digest, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v.add(Missing{What: what, Digest: d, Chain: []digest.Digest{by}, Err: err})
	return nil
}

func (v *Verdict) add(m Missing) {
	if len(v.Missing) < maxMissing {
		v.Missing = append(v.Missing, m)
	}
}
