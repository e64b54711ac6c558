package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
)

// Exit codes. Where several apply: the first of 2, 7, 6, 5, 1, 3, 4.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDifferences = 3
	exitDamage      = 4
	exitGuard       = 5
	exitCheckpoint  = 6
	exitSide        = 7
)

const exitHelp = `
Exit codes:
  0    done and clean
  1    some objects could not be transferred; run again
  2    wrong usage or configuration
  3    differences found at the destination, or tags that cannot be pulled there
  4    damage found at the source, all else is done
  5    a guard refused: another writer at the destination, a migration to it that
       was finished, another mirror that holds it, a plan that is not there any more
  6    the checkpoint was refused or cannot be written
  7    a side cannot be reached or written
  130  interrupted by SIGINT, 143 by SIGTERM; run again to go on
`

// usageError is a mistake in what the user typed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode maps an error to the code that a script sees.
func exitCode(err error, sig *signals) int {
	var usage usageError
	var where *location.Error
	var state *mirror.StateError
	var check *migrate.CheckpointError
	var fault *migrate.Fault
	var output *fs.PathError
	switch {
	case errors.As(err, &usage), errors.As(err, &where), errors.Is(err, location.ErrNested):
		return exitUsage
	case sig.code() != 0 && errors.Is(err, context.Canceled):
		return sig.code()
	case errors.Is(err, mirror.ErrGuard): // which ends a run as a fault does
		return exitGuard
	case errors.As(err, &state):
		return exitCheckpoint
	case errors.As(err, &fault), backends.SideOf(err) != "": // of which a checkpoint may fail, too
		return exitSide
	case errors.Is(err, checkpoint.ErrRefused), errors.As(err, &check):
		return exitCheckpoint
	case errors.Is(err, migrate.ErrRestless), errors.As(err, &output) && output.Path == os.Stdout.Name():
		return exitFailed
	}
	return exitUsage // what the command line itself refuses
}

// outcomeCode maps how a run went to the code that a script sees.
func outcomeCode(s migrate.Summary) int {
	last := s.Last()
	switch {
	case last.Undone() > 0:
		return exitFailed
	case last.Damaged > 0:
		return exitDifferences
	case last.SourceDamage() > 0:
		return exitDamage
	}
	return exitDone
}
