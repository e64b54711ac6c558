package migrate

import (
	"context"
	"crypto/md5"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// Watch is for one who looks on while passes are made and has a say in what
// they make visible, as a mirror does. Functions that are nil are not called;
// all are called concurrently, but for those of one prefix, whose pairs come in
// order.
type Watch struct {
	// Begin says that a pass begins: what was told of the one before is
	// superseded.
	Begin func()
	// Pair is what the listings of both sides say of one key, which lies in the
	// part of the registry that prefix names.
	Pair func(prefix string, p verify.Pair) error
	// Listed says that both sides were listed to their ends, from the beginning.
	Listed func(prefix string) error
	// Same says that a tag is equal on both sides; sum is the MD5 of its link.
	Same func(repository, tag string, sum [md5.Size]byte) error
	// Wrote is told of a link that was written, and of a blob that was copied for
	// one: a push may have brought it after both sides were listed.
	Wrote func(key string)
	// Retry is told of an error after which something is tried again.
	Retry func(error)
	// Tag is asked just before a tag gets a link that holds want; have is what it
	// held when the repository was listed, empty if it held nothing.
	Tag func(ctx context.Context, repository, tag string, have, want digest.Digest) error
}

// An error of a Watch ends the run, and is the Err of its *[Fault].
func watchError(err error) error {
	if err == nil {
		return nil
	}
	return &Fault{err}
}

func (w Watch) begin() {
	if w.Begin != nil {
		w.Begin()
	}
}

func (w Watch) pair(prefix string, p verify.Pair) error {
	if w.Pair == nil {
		return nil
	}
	return watchError(w.Pair(prefix, p))
}

func (w Watch) listed(prefix string) error {
	if w.Listed == nil {
		return nil
	}
	return watchError(w.Listed(prefix))
}

func (w Watch) same(repository, tag string, sum [md5.Size]byte) error {
	if w.Same == nil {
		return nil
	}
	return watchError(w.Same(repository, tag, sum))
}

func (w Watch) wrote(key string) {
	if w.Wrote != nil {
		w.Wrote(key)
	}
}

func (w Watch) retry(err error) {
	if w.Retry != nil {
		w.Retry(err)
	}
}

func (w Watch) tag(ctx context.Context, repository, tag string, have, want digest.Digest) error {
	if w.Tag == nil {
		return nil
	}
	return watchError(w.Tag(ctx, repository, tag, have, want))
}

// Parts are the prefixes that a Watch of a run over everything is told of.
func Parts() []string { return append(layout.Tight(), otherShard) }

// LinkSum is the MD5 of a link that holds d, as listings give it.
func LinkSum(d digest.Digest) [md5.Size]byte { return md5.Sum([]byte(d)) }
