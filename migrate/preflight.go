package migrate

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// Preflight is what can be known of a migration before it begins.
type Preflight struct {
	Source, Destination Side
	Need                Need
	Rate                float64       // bytes a second that the source was read with, for a moment; 0: not tried
	Estimate            time.Duration // of a migration, rounded to what is known; 0: not known, as where sizes are not
}

// Side is what one store says of itself.
type Side struct {
	Location string
	Powers   backends.Powers
	Trial    *backends.Trial // nil: not tried
	Space    *backends.Space // nil: not known
	Cautions []string
}

// Need is what the destination lacks, as far as listings tell.
type Need struct {
	Objects, Bytes   int64 // that the source has, a registry's objects and others below its root
	Missing, ToWrite int64 // objects and bytes that the destination has not, or with another size
	Directories      int64 // that a volume needs for the missing ones
	Unsized          int64 // objects at the source whose size no listing tells
	Unknown          int64 // those of them that are missing: ToWrite lacks their bytes
}

// TooSmall says that the destination is known to have no room for what is
// missing: bytes or files.
func (p Preflight) TooSmall() bool {
	s := p.Destination.Space
	return s != nil && (s.Free < p.Need.ToWrite || s.FreeFiles >= 0 && s.FreeFiles < p.Need.Missing+p.Need.Directories)
}

// Try finds out whether a destination can be written, and what its store has
// to say. It is the cheap part of a preflight: a few requests.
func Try(ctx context.Context, dst backends.Store) (Side, error) {
	s := look(ctx, dst)
	if s.Powers.Trier == nil {
		return s, nil
	}
	t, err := s.Powers.Trier.Try(ctx)
	if t.Stays != nil {
		s.Cautions = append(s.Cautions, "what was tried cannot be deleted and stays below .regferry/, as will what a killed run leaves; allow deleting there, or remove it by hand: "+t.Stays.Error())
	}
	s.Trial = &t
	return s, backends.At(backends.Destination, err)
}

// look asks what needs no right to write.
func look(ctx context.Context, store backends.ReadStore) Side {
	s := Side{Location: store.Location(), Powers: backends.PowersOf(store)}
	if s.Powers.Spacer != nil {
		if space, err := s.Powers.Spacer.Space(ctx); err == nil {
			s.Space = &space
		}
	}
	if s.Powers.Cautioner != nil {
		s.Cautions = s.Powers.Cautioner.Cautions(ctx)
	}
	return s
}

// Check makes a preflight: it tries the destination, lists both sides and reads
// some blobs of the source for at most lasting. Of memory it needs a page of
// each listing.
func Check(ctx context.Context, src backends.ReadStore, dst backends.Store, workers int, lasting time.Duration) (Preflight, error) {
	p := Preflight{Source: look(ctx, src)}
	var err error
	if p.Destination, err = Try(ctx, dst); err != nil {
		return p, err
	}
	if p.Need, err = need(ctx, src, dst, workers); err != nil {
		return p, err
	}
	if p.Rate, err = readRate(ctx, src, workers, lasting); err != nil {
		return p, backends.At(backends.Source, err)
	}
	if p.Need.Unknown > 0 {
		return p, nil
	}
	if p.Rate > 0 {
		p.Estimate = time.Duration(float64(p.Need.ToWrite) / p.Rate * float64(time.Second))
	}
	if t := p.Destination.Trial; t != nil { // for each object, a worker waits as long as for this one
		p.Estimate = max(p.Estimate, t.Took*time.Duration(p.Need.Missing)/time.Duration(max(1, workers)))
	}
	return p, nil
}

func need(ctx context.Context, src, dst backends.ReadStore, workers int) (all Need, err error) {
	prefixes := layout.Tight()
	needs := make([]counting, len(prefixes)+1) // and what lies between them
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	for i, prefix := range prefixes {
		needs[i].last = prefix // the directories above it are many prefixes'
		g.Go(func() error {
			return needs[i].all(verify.Merge(src.List(inner, prefix, ""), dst.List(inner, prefix, "")))
		})
	}
	g.Go(func() error {
		list := func(after string) iter.Seq2[verify.Pair, error] {
			return verify.Merge(src.List(inner, layout.Root, after), dst.List(inner, layout.Root, after))
		}
		return needs[len(prefixes)].all(layout.Gaps(prefixes, list, func(p verify.Pair) string { return p.Key }))
	})
	err = g.Wait()
	for _, n := range needs {
		all.Objects, all.Bytes, all.Unsized = all.Objects+n.Objects, all.Bytes+n.Bytes, all.Unsized+n.Unsized
		all.Unknown += n.Unknown
		all.Missing, all.ToWrite, all.Directories = all.Missing+n.Missing, all.ToWrite+n.ToWrite, all.Directories+n.Directories
	}
	return all, err
}

// counting counts along a listing.
type counting struct {
	Need
	last string // key, of either side
}

func (n *counting) all(pairs iter.Seq2[verify.Pair, error]) error {
	for p, err := range pairs {
		if err != nil {
			return err
		}
		n.add(p)
	}
	return nil
}

// newDirectories counts those of a key that the key before it is not in: keys
// come in order, so no later one has them first.
func newDirectories(last, key string) int64 {
	n := 0
	for n < len(key) && n < len(last) && key[n] == last[n] {
		n++
	}
	return int64(strings.Count(key[strings.LastIndexByte(key[:n], '/')+1:], "/"))
}

func (n *counting) add(p verify.Pair) {
	directories := newDirectories(n.last, p.Key)
	n.last = p.Key
	if p.Src == nil || layout.Parse(p.Key).Kind.Skipped() {
		return
	}
	size := max(p.Src.Size, 0)
	n.Objects++
	n.Bytes += size
	if p.Src.Size < 0 {
		n.Unsized++
	}
	if p.Dst == nil || p.Src.Size >= 0 && p.Dst.Size >= 0 && p.Dst.Size != p.Src.Size {
		if p.Src.Size < 0 {
			n.Unknown++
		}
		n.Missing++
		n.ToWrite += size
		n.Directories += directories
	}
}

// readRate reads blobs of the source, some at a time, for a while.
func readRate(ctx context.Context, src backends.ReadStore, workers int, lasting time.Duration) (float64, error) {
	if lasting <= 0 {
		return 0, nil
	}
	inner, cancel := context.WithTimeout(ctx, lasting)
	defer cancel()
	shards := layout.Shards()
	read := make([]int64, len(shards))
	g, each := errgroup.WithContext(inner)
	g.SetLimit(max(1, workers))
	start := time.Now()
	for i := range shards {
		g.Go(func() (err error) {
			read[i], err = readSome(each, src, shards[i*37%len(shards)])
			return err
		})
	}
	err := g.Wait()
	took := time.Since(start).Seconds()
	if inner.Err() != nil && ctx.Err() == nil {
		err = nil // the time is up
	}
	total := int64(0)
	for _, n := range read {
		total += n
	}
	return float64(total) / took, err
}

// readSome reads the blobs of a shard until the context ends. One that cannot be
// read says nothing of the speed, and is left to the migration to name.
func readSome(ctx context.Context, src backends.ReadStore, shard string) (n int64, err error) {
	for o, err := range src.List(ctx, shard, "") {
		if err != nil {
			return n, err
		}
		b, err := src.Open(ctx, o.Key, 0)
		if err != nil {
			continue
		}
		m, _ := io.Copy(io.Discard, b)
		n += m
		_ = b.Close()
	}
	return n, ctx.Err()
}
