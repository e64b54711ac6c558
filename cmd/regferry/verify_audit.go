package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// auditFile is the checkpoint of a verification, or nothing. It keeps what was
// proved until the audit is complete, and is removed then: the next audit is
// to prove everything again, since what was right may have rotted.
type auditFile struct {
	path string
	file *checkpoint.File
}

// openAudit opens or makes the checkpoint. Its identity is that of no
// migration, since a source is never called that.
func openAudit(v *verification) (auditFile, error) {
	if v.checkpoint == "" {
		return auditFile{}, nil
	}
	id := checkpoint.Identity{Source: v.what() + " on " + v.options.Source.Location(), Root: strings.TrimSuffix(layout.Root, "/")}
	if v.options.Destination != nil {
		id.Destination = v.options.Destination.Location()
	}
	f, err := checkpoint.Open(v.checkpoint, id, checkpoint.Options{Version: version()})
	if err != nil {
		return auditFile{}, err
	}
	if p := f.Pass(); p.Number == 0 || p.Complete || p.Dropped {
		if err := f.BeginPass(""); err != nil {
			return auditFile{}, errors.Join(&migrate.CheckpointError{Err: err}, f.Close())
		}
	}
	return auditFile{v.checkpoint, f}, nil
}

// what names what is proved: an audit of another kind would take the file for
// its own, and remove it when it is complete.
func (v *verification) what() string {
	what := "verify --level " + v.level
	if v.sample != "" {
		what += fmt.Sprintf(" --sample %s --sample-round %d", v.sample, v.round)
	}
	for _, g := range v.options.Repositories {
		what += " --repository " + report.Name(g)
	}
	return what
}

func (a auditFile) journal() verify.Journal {
	if a.file == nil {
		return nil
	}
	return a
}

// Proved is part of verify.Journal.
func (a auditFile) Proved(shard string) (verify.ProvedSet, error) {
	s, err := a.file.Shard(shard)
	if err != nil {
		return nil, &migrate.CheckpointError{Err: err}
	}
	return s.Proved, nil
}

// Prove is part of verify.Journal.
func (a auditFile) Prove(shard string, d digest.Digest) { a.file.Proved(shard, d) }

func (a auditFile) close(complete bool) error {
	if a.file == nil {
		return nil
	}
	if err := a.file.Close(); err != nil {
		return &migrate.CheckpointError{Err: err}
	}
	if complete {
		return os.Remove(a.path)
	}
	return nil
}
