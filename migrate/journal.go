package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// journal is the checkpoint, or nothing: a lost checkpoint costs a listing,
// never data, and so does none.
type journal struct{ file *checkpoint.File }

// CheckpointError says that the checkpoint could not be read or written any
// more during the run.
type CheckpointError struct{ Err error }

// Error says that it is about the checkpoint.
func (e *CheckpointError) Error() string { return "the checkpoint: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *CheckpointError) Unwrap() error { return e.Err }

func journalError(err error) error {
	if err == nil {
		return nil
	}
	return &Fault{&CheckpointError{err}}
}

// openJournal opens or makes the checkpoint of this migration. Its commits
// come after sync, so it claims only what is durable.
func openJournal(o Options, src, dst string, sync func(context.Context) error) (journal, error) {
	if o.Checkpoint == "" {
		return journal{}, nil
	}
	f, err := checkpoint.Open(o.Checkpoint, Identity(o, src, dst), checkpoint.Options{Sync: sync, Version: o.Version})
	if err != nil {
		return journal{}, err
	}
	return journal{f}, nil
}

// Identity is what a checkpoint of this migration is kept under: a changed
// choice of repositories is the same migration, whose pass begins anew.
func Identity(o Options, src, dst string) checkpoint.Identity {
	return checkpoint.Identity{
		Source: src, Destination: dst, Root: strings.TrimSuffix(layout.Root, "/"),
		Scope: scope(o),
	}
}

// scope says what is migrated; empty for all of the registry.
func scope(o Options) string {
	var parts []string
	if len(o.Repositories) > 0 {
		parts = append(parts, fmt.Sprintf("only the repositories %q", slices.Sorted(slices.Values(o.Repositories))))
	}
	if len(o.Also) > 0 {
		parts = append(parts, fmt.Sprintf("also below %q", slices.Sorted(slices.Values(o.Also))))
	}
	return strings.Join(parts, "; ")
}

// begin says whether an interrupted pass goes on; otherwise it begins a new one.
func (j journal) begin(first bool) (resumed bool, err error) {
	if j.file == nil {
		return false, nil
	}
	if p := j.file.Pass(); first && p.Number > 0 && !p.Complete && !p.Dropped {
		return true, nil
	}
	return false, journalError(j.file.BeginPass(""))
}

func (j journal) finish() error {
	if j.file == nil {
		return nil
	}
	return journalError(j.file.FinishPass())
}

// provedSet is what a shard's blobs are looked up in.
type provedSet interface{ Has(digest.Digest) bool }

type noneProved struct{}

func (noneProved) Has(digest.Digest) bool { return false }

type shardState struct {
	Cursor string
	Done   bool
	Proved provedSet
}

func (j journal) shard(name string) (shardState, error) {
	if j.file == nil {
		return shardState{Proved: noneProved{}}, nil
	}
	s, err := j.file.Shard(name)
	return shardState{s.Cursor, s.Done, s.Proved}, journalError(err)
}

func (j journal) advance(shard, cursor string) {
	if j.file != nil {
		j.file.Advance(shard, cursor)
	}
}

func (j journal) finishShard(shard string) {
	if j.file != nil {
		j.file.FinishShard(shard)
	}
}

func (j journal) proved(shard string, d digest.Digest) {
	if j.file != nil {
		j.file.Proved(shard, d)
	}
}

// unprove takes back what was proved since the last commit: a Sync has lost
// some of it.
func (j journal) unprove() {
	if j.file != nil {
		j.file.Unprove()
	}
}

// provedName stands for a repository where digests stand for blobs.
func provedName(repository string) digest.Digest { return digest.FromString(repository) }

// repositoryShard keeps the repositories whose closures were proved.
const repositoryShard = "repositories"

// doubtShard keeps those in which damage was seen.
const doubtShard = "repositories/doubted"

func (j journal) prove(repository string) { j.proved(repositoryShard, provedName(repository)) }

func (j journal) doubt(repository string) error {
	if j.file == nil {
		return nil
	}
	return journalError(j.file.Mark(doubtShard, provedName(repository)))
}

// provedBefore are the repositories that earlier runs and passes proved, and
// those in which they saw damage.
func (j journal) provedBefore() (proved, doubted provedSet, err error) {
	s, err := j.shard(repositoryShard)
	d, errDoubt := j.shard(doubtShard)
	return s.Proved, d.Proved, errors.Join(err, errDoubt)
}

// add adds to the totals of all runs, for who looks at the checkpoint.
func (j journal) add(t Totals) {
	if j.file != nil {
		j.file.AddTotals(checkpoint.Totals{Objects: t.Work(), Bytes: t.CopiedBytes + t.UnknownBytes, Present: t.Present})
	}
}

func (j journal) upload(key string) backends.Upload {
	if j.file == nil {
		return backends.Upload{}
	}
	u, _ := j.file.Upload(key)
	return u
}

func (j journal) saveUpload(key string, u backends.Upload) error {
	if j.file == nil {
		return nil
	}
	return journalError(j.file.SaveUpload(key, u))
}

func (j journal) dropUpload(key string) {
	if j.file != nil {
		j.file.DropUpload(key)
	}
}

// uploads are the tokens of unfinished uploads that a later run may go on with.
func (j journal) uploads() (map[string]bool, error) {
	keep := make(map[string]bool)
	if j.file == nil {
		return keep, nil
	}
	all, err := j.file.Uploads()
	for _, u := range all {
		keep[u.Token] = true
	}
	return keep, journalError(err)
}

func (j journal) fail(f report.Failure) {
	if j.file != nil {
		j.file.Fail(checkpoint.Failure{Side: f.Side, Op: f.Op, Key: f.Key, Class: f.Class, Message: f.Message, Time: time.Now()})
	}
}

// close commits what is left and tells how the run ended.
func (j journal) close(outcome string) error {
	if j.file == nil {
		return nil
	}
	j.file.SetOutcome(outcome)
	return journalError(j.file.Close())
}
