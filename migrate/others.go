package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// copyOthers goes through what neither a shard nor a repository covers: other
// digest algorithms, unknown objects below the root, and what --also names.
func (p *pass) copyOthers(ctx context.Context) error {
	if p.partial() {
		return nil
	}
	if err := p.copyGaps(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.listers())
	for _, prefix := range p.Also {
		g.Go(func() error { return p.copyAlso(ctx, prefix) })
	}
	return g.Wait()
}

// copyGaps lists the root and steps over each prefix that is covered. It costs
// a listing's start for each step, not a second listing of everything.
func (p *pass) copyGaps(ctx context.Context) error {
	if p.globs.Some() {
		return nil
	}
	sh := p.loose()
	st, err := p.journal.shard(otherShard)
	if err != nil {
		return err
	}
	sh.before = st.Proved
	list := func(after string) iter.Seq2[verify.Pair, error] {
		return verify.Merge(p.list(ctx, p.src, layout.Root, after), p.list(ctx, p.dst, layout.Root, after))
	}
	for pr, err := range layout.Gaps(layout.Tight(), list, func(pr verify.Pair) string { return pr.Key }) {
		if err != nil {
			sh.window.drain()
			return p.fail(ctx, err, layout.Root)
		}
		if err := errors.Join(p.Watch.pair(otherShard, pr), sh.add(ctx, pr)); err != nil {
			sh.keep(err)
			break
		}
	}
	sh.window.drain()
	if err := sh.failed(); err != nil {
		return err
	}
	return p.Watch.listed(otherShard)
}

func (p *pass) copyAlso(ctx context.Context, prefix string) error {
	sh := p.loose()
	for pr, err := range verify.Merge(p.list(ctx, p.src, prefix, ""), p.list(ctx, p.dst, prefix, "")) {
		if err == nil {
			p.tally.count(func(t *Totals) { t.Also++ })
			err = sh.other(ctx, layout.Parse(pr.Key), pr)
		} else {
			err = p.fail(ctx, err, prefix)
		}
		if err != nil {
			sh.keep(err)
			break
		}
	}
	sh.window.drain()
	return sh.failed()
}

// loose is a shard without a cursor: few objects, looked at in each pass.
func (p *pass) loose() *shard {
	return &shard{pass: p, name: otherShard, before: noneProved{}, window: newWindow(func(string) {})}
}

// otherShard keeps the digests that were proved outside their shards.
const otherShard = "blobs/other"

// other deals with what is no blob.
func (s *shard) other(ctx context.Context, k layout.Key, pr verify.Pair) error {
	if pr.Src == nil || s.skipped(k) {
		return nil
	}
	if k.Kind == layout.Unknown {
		s.noteUnknown(k, pr.Key)
	}
	if s.dry() {
		if differs(pr) {
			s.tally.count(func(t *Totals) { t.UnknownDone++; t.UnknownBytes += max(pr.Src.Size, 0) })
		}
		return nil
	}
	s.start(pr.Key, func(ctx context.Context) error { return s.carry(ctx, pr) })
	return nil
}

// skipped counts what stays behind on purpose.
func (p *pass) skipped(k layout.Key) bool {
	switch k.Kind {
	case layout.Upload:
		p.tally.count(func(t *Totals) { t.Uploads++ })
	case layout.Junk:
		p.tally.count(func(t *Totals) { t.Junk++ })
		p.Recorder.Finding(report.Finding{
			Kind: report.Skipped, Side: report.Source, Severity: report.Notice, Key: k.String(), Repository: k.Repository,
			Found: "what a killed process left", Advice: "nothing: it belongs to no image; a migration leaves it where it is",
		})
	}
	return k.Kind.Skipped()
}

// maxCompare is up to which size, in bytes, an unknown object that both sides
// have is compared by content in each pass.
const maxCompare = 1 << 20

// carry copies an object byte for byte unless the destination has it already.
func (p *pass) carry(ctx context.Context, pr verify.Pair) error {
	pr, err := p.sizedPair(ctx, pr)
	if err != nil {
		return p.otherFailed(ctx, pr.Key, err)
	}
	if pr.Dst != nil && pr.Dst.Size == pr.Src.Size {
		same, err := p.sameContent(ctx, pr)
		if err != nil {
			return p.otherFailed(ctx, pr.Key, err)
		}
		if same {
			return nil
		}
	}
	n, err := p.copy(ctx, *pr.Src, "")
	if err != nil {
		return p.otherFailed(ctx, pr.Key, err)
	}
	p.tally.count(func(t *Totals) { t.UnknownDone++; t.UnknownBytes += n })
	return nil
}

func (p *pass) otherFailed(ctx context.Context, key string, err error) error {
	if backends.SideOf(err) == backends.Source && errors.Is(err, fs.ErrNotExist) {
		p.tally.count(func(t *Totals) { t.Vanished++ })
		return nil
	}
	return p.fail(ctx, err, key)
}

func (p *pass) sameContent(ctx context.Context, pr verify.Pair) (bool, error) {
	if pr.Src.Size > maxCompare {
		return true, nil
	}
	a, err := p.readSmall(ctx, p.src, backends.Source, pr.Key, maxCompare)
	if err != nil {
		return false, err
	}
	b, err := p.readSmall(ctx, p.dst, backends.Destination, pr.Key, maxCompare)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(a) == string(b), err
}

// readSmall reads a whole object of at most limit bytes.
func (e *engine) readSmall(ctx context.Context, s backends.ReadStore, side backends.Side, key string, limit int64) (data []byte, err error) {
	err = e.retry(ctx, 0, func(int) error {
		data, err = e.readOnce(ctx, s, side, key, limit)
		return err
	}, side)
	return data, err
}

func (e *engine) readOnce(ctx context.Context, s backends.ReadStore, side backends.Side, key string, limit int64) ([]byte, error) {
	release, err := e.limits.request(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return nil, backends.At(side, err)
	}
	data, err := io.ReadAll(io.LimitReader(b, limit+1))
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, backends.At(side, &backends.Error{Op: "read", Key: key, Class: backends.ClassOf(err), Err: err})
	}
	if int64(len(data)) > limit {
		err := fmt.Errorf("it is longer than the %d bytes that make sense for it", limit)
		return nil, &backends.Error{Side: side, Op: "read", Key: key, Class: backends.Corrupt, Err: err}
	}
	return data, nil
}

// checkAlso refuses prefixes that reach into the registry's own tree.
func checkAlso(prefixes []string) error {
	for _, p := range prefixes {
		if p == "" || strings.HasPrefix(p, layout.Root) || strings.HasPrefix(layout.Root, p) {
			return fmt.Errorf("--also %q: give a prefix of keys beside %s, for example --also docker/trust/", p, strings.TrimSuffix(layout.Root, "/"))
		}
	}
	return nil
}
