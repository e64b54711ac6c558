package verify

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// repositories goes through the repositories, one partition a worker, and
// judges each from what was listed of it.
func (r *run) repositories(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(r.listers())
	for _, prefix := range layout.Partitions() {
		g.Go(func() error { return r.partition(inner, prefix) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for name := range r.wanted { // the storage knows nothing of these
		if err := r.repository(name).judge(ctx); err != nil {
			return err
		}
	}
	for _, at := range r.waiting {
		if err := at.judgeNow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// partition: the keys of one repository, and of no other, begin with its name
// and "/_", so they come one after the other.
func (r *run) partition(ctx context.Context, prefix string) error {
	var at *repository
	for p, err := range r.pairs(ctx, prefix, "") {
		if err != nil {
			return err
		}
		k := layout.Parse(p.Key)
		r.Inventory.object(k, r.of(p))
		r.countKind(k, r.of(p) != nil)
		if k.Repository == "" {
			if !r.Repositories.Some() {
				r.object(ctx, k, p)
			}
			continue
		}
		if at == nil || at.name != k.Repository {
			if err := at.judge(ctx); err != nil {
				return err
			}
			at = r.repository(k.Repository)
		}
		if r.Repositories.Match(at.name) {
			at.add(ctx, k, p)
		}
	}
	return at.judge(ctx)
}

// countKind counts what says where the tags are kept, of all repositories, also
// of those that were not chosen.
func (r *run) countKind(k layout.Key, there bool) {
	switch {
	case !there:
	case k.Kind == layout.RevisionLink:
		r.seenRevisions.Add(1)
	case k.Kind == layout.TagLink:
		r.seenTags.Add(1)
	}
}

// repository is one at hand.
type repository struct {
	*run
	name   string
	links  errgroup.Group // that are read
	mu     sync.Mutex     // of what follows, while they are
	mine   linkSet
	theirs linkSet // at the source, when two are compared

	tags      []*tag
	revisions []digest.Digest // links at the judged side that are what they should be
	absent    []layout.Key    // revision links that the destination lacks
	dangling  []danglingLink
	doubted   []doubtedLink // that wait until all is listed
	gone      []layout.Key  // that were deleted since they were listed
	explained Set           // revisions whose damage was reported with a tag
	bent      Set           // links of the destination alone that hold no digest, or another one
	wanted    []Image
	upload    string    // the one at hand
	uploadAt  time.Time // when something of it was written last
	fewer     bool      // the source lacks a link that the destination has
	out       report.Repository
	sized     Set // blobs that count in out.Bytes
}

// linkSet are the links of one side.
type linkSet struct {
	revisions, layers Set
	count             int // of revision links
	tags              int
	any               bool
}

// tag is one tag of the repository, at either side or both.
type tag struct {
	layout.Key
	Pair
	index, theirIndex bool          // it has an entry in its index, at the judged side and at the source
	entry             string        // the key of one, at the judged side if that has any
	absent            []layout.Key  // index links that the destination lacks
	names             digest.Digest // once it was read and compared
	same              bool          // the source's names the same
}

// danglingLink is a layer link to a blob that is not there.
type danglingLink struct {
	layout.Key
	target digest.Digest
}

func (r *run) repository(name string) *repository {
	at := &repository{run: r, name: name, out: report.Repository{Name: name}}
	at.links.SetLimit(r.Workers)
	if r.Repositories.Match(name) {
		r.wantedMu.Lock()
		at.wanted = r.wanted[name]
		delete(r.wanted, name)
		r.wantedMu.Unlock()
	}
	return at
}

// add takes one key into account.
func (at *repository) add(ctx context.Context, k layout.Key, p Pair) {
	mine := at.of(p)
	if mine != nil {
		at.out.Objects++
	}
	at.mine.listed(k, mine != nil)
	at.theirs.listed(k, at.comparing && p.Src != nil)
	switch k.Kind {
	case layout.Upload:
		id, _, _ := strings.Cut(strings.TrimPrefix(p.Key, layout.UploadsPrefix(at.name)), "/")
		same := at.upload == id
		if !same {
			at.endUpload()
			at.upload = id
		}
		if mine != nil && mine.ModTime.After(at.uploadAt) {
			at.uploadAt = mine.ModTime
		}
		if same {
			return
		}
		fallthrough
	case layout.Unknown, layout.Junk:
		at.object(ctx, k, p)
		return
	case layout.TagLink:
		at.tagAt(k.Tag).Pair = p
		return
	case layout.TagIndexLink:
		t := at.tagAt(k.Tag)
		if mine != nil || !t.index {
			t.entry = p.Key
		}
		t.index = t.index || mine != nil
		t.theirIndex = t.theirIndex || at.comparing && p.Src != nil
	}
	at.link(ctx, k, p)
}

// endUpload counts the upload at hand, if there is one.
func (at *repository) endUpload() {
	if at.upload != "" {
		at.Inventory.upload(at.uploadAt)
	}
	at.upload, at.uploadAt = "", time.Time{}
}

// tagAt returns the tag of that name, which is the last one if it is known.
func (at *repository) tagAt(name string) *tag {
	if n := len(at.tags); n > 0 && at.tags[n-1].Tag == name {
		return at.tags[n-1]
	}
	t := &tag{Key: layout.Key{Kind: layout.TagLink, Repository: at.name, Tag: name}}
	at.tags = append(at.tags, t)
	return t
}

// recount counts what has come, or gone, since it was listed.
func (at *repository) recount(k layout.Key, before, now Pair) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.mine.listed(k, at.of(before) == nil && at.of(now) != nil)
	at.theirs.listed(k, before.Src == nil && now.Src != nil)
	if k.Kind == layout.RevisionLink && at.of(before) != nil && at.of(now) == nil {
		at.mine.count--
	}
}

func (l *linkSet) listed(k layout.Key, there bool) {
	if !there {
		return
	}
	switch k.Kind {
	case layout.RevisionLink:
		l.count++
	case layout.TagLink:
		l.tags++
	case layout.LayerLink:
	default:
		return
	}
	l.any = true
}
