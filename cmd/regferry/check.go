package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/layout"
)

// check refuses what cannot be meant, before anything is opened or made.
func (m *migration) check(errOut io.Writer) (*slog.Logger, error) {
	log, err := m.log.logger(errOut)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkSides("migrate", m.from, m.to), checkWorkers(m.options.Workers)); err != nil {
		return nil, err
	}
	if m.memory < 1<<20 {
		return nil, usageError{fmt.Errorf("--memory %s: give at least 1MiB, for example --memory 128MiB", &m.memory)}
	}
	m.options.Memory, m.options.Bandwidth = int64(m.memory), int64(m.bandwidth)
	if m.options.Metadata, err = migrate.ParseMetadata(m.metadata); err != nil {
		return nil, usageError{err}
	}
	if err := m.options.Check(); err != nil {
		return nil, usageError{err}
	}
	if err := m.at.from.CheckApart(m.from, m.at.to, m.to); err != nil {
		return nil, fmt.Errorf("--from and --to: %w", err)
	}
	m.options.Checkpoint, err = m.checkpointPath(log)
	return log, err
}

// checkpointPath is the file to go on from. Without a word of the user it is
// one for each pair of locations, so that the same command, typed anywhere,
// goes on.
func (m *migration) checkpointPath(log *slog.Logger) (string, error) {
	path := m.checkpoint
	switch path {
	case "none":
		return "", nil
	case "":
		base, err := statePath(m.at, m.from, m.to)
		switch {
		case errors.As(err, new(*location.Error)):
			return "", err
		case err != nil:
			log.Warn("no checkpoint: an interrupted run begins anew; name one with --checkpoint FILE", "reason", err)
			return "", nil
		}
		path = base + ".checkpoint"
	}
	if caution := checkpoint.Caution(path); caution != "" {
		log.Warn(caution)
	}
	return path, nil
}

// statePath is where what belongs to a pair of locations is kept, to which a
// suffix is added. An *[location.Error] is about the locations.
func statePath(at sides, from, to string) (string, error) {
	a, errA := at.from.Identity(from)
	b, errB := at.to.Identity(to)
	if err := errors.Join(errA, errB); err != nil {
		return "", err
	}
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(a + "\x00" + b))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])), nil
}

// stateDir is where programs keep what should survive a restart, by the XDG
// base directory specification.
func stateDir() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "regferry")
	return dir, os.MkdirAll(dir, 0o700)
}

// nearby looks for a registry where one is often meant: a level or two below
// what was named, or above it.
func nearby(dir string) string {
	root := filepath.FromSlash(strings.TrimSuffix(layout.Root, "/"))
	for up := range 4 {
		if isDir(filepath.Join(dir, strings.Repeat("../", up), root)) {
			return filepath.Join(dir, strings.Repeat("../", up))
		}
	}
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern, root))
		if err == nil && len(found) > 0 {
			return strings.TrimSuffix(strings.TrimSuffix(found[0], root), string(filepath.Separator))
		}
	}
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// ready says what the run has to work with, and tries what is cheap.
func ready(ctx context.Context, log *slog.Logger, src backends.ReadStore, dst backends.Store, file string, takeover bool) error {
	if !takeover {
		if err := errors.Join(mirror.CheckFinished(ctx, dst), mirror.CheckHeld(ctx, dst)); err != nil {
			return err
		}
	}
	side, err := migrate.Try(ctx, dst)
	switch {
	case backends.ClassOf(err) == backends.Full: // maybe nothing is left to be written
		log.Warn("the destination is full", "reason", err)
	case err != nil:
		return &migrate.Fault{Err: err}
	}
	log.Info("migrating", "from", src.Location(), "to", dst.Location(), "checkpoint", file, "destination_can", side.Powers.String())
	if side.Space != nil {
		log.Info("free at the destination", "space", bytesOf(side.Space.Free))
	}
	for _, text := range side.Cautions {
		log.Warn("destination: " + text)
	}
	if t := side.Trial; t != nil && t.Clock.Abs() >= clockApart {
		log.Warn("destination: " + clockText(t.Clock))
	}
	return nil
}

// freeSpace is in bytes; -1 where it is not known.
func freeSpace(ctx context.Context, s backends.ReadStore) int64 {
	spacer := backends.PowersOf(s).Spacer
	if spacer == nil {
		return -1
	}
	space, err := spacer.Space(ctx)
	if err != nil {
		return -1
	}
	return max(space.Free, 0)
}
