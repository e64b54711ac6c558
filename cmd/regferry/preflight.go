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

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
)

// check refuses what cannot be meant, before anything is opened or made.
func (m *migration) check(errOut io.Writer) (*slog.Logger, error) {
	log, err := m.log.logger(errOut)
	if err != nil {
		return nil, err
	}
	for flag, value := range map[string]string{"--from": m.from, "--to": m.to} {
		if value == "" {
			return nil, usageError{fmt.Errorf("%s is missing, for example: regferry migrate --from /var/lib/registry --to /mnt/nfs/registry", flag)}
		}
	}
	if m.options.Workers < 1 || m.options.Workers > 1024 {
		return nil, usageError{fmt.Errorf("--workers %d: give a number from 1 to 1024, for example --workers 32", m.options.Workers)}
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
	if err := location.CheckApart(m.from, m.to); err != nil {
		return nil, fmt.Errorf("--from and --to: %w", err)
	}
	m.options.Checkpoint, err = checkpointPath(log, m.checkpoint, m.from, m.to)
	return log, err
}

// checkpointPath is the file to go on from. Without a word of the user it is
// one for each pair of locations, so that the same command, typed anywhere,
// goes on.
func checkpointPath(log *slog.Logger, given, from, to string) (string, error) {
	path := given
	switch given {
	case "none":
		return "", nil
	case "":
		dir, err := stateDir()
		if err != nil {
			log.Warn("no checkpoint: an interrupted run begins anew; name one with --checkpoint FILE", "reason", err)
			return "", nil
		}
		a, errA := location.Identity(from)
		b, errB := location.Identity(to)
		if err := errors.Join(errA, errB); err != nil {
			return "", err
		}
		sum := sha256.Sum256([]byte(a + "\x00" + b))
		path = filepath.Join(dir, hex.EncodeToString(sum[:8])+".checkpoint")
	}
	if caution := checkpoint.Caution(path); caution != "" {
		log.Warn(caution)
	}
	return path, nil
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

// looksLikeRegistry refuses a source without a registry in it, since copying
// nothing would look like success, and looks for it nearby.
func (m *migration) looksLikeRegistry(ctx context.Context, src backends.ReadStore) error {
	for _, err := range src.List(ctx, layout.Root, "") {
		if err != nil {
			return fmt.Errorf("--from %s: %w", location.Redacted(m.from), &migrate.Fault{Err: backends.At(backends.Source, err)})
		}
		return nil
	}
	hint := "give what holds docker/, the rootdirectory of the registry's configuration"
	if dir, err := location.Path(m.from); err == nil {
		if found := nearby(dir); found != "" {
			hint = "there is one in " + found + ": try --from " + found
		}
	}
	return usageError{fmt.Errorf("--from %s: there is no registry in it, nothing lies below %s; %s", location.Redacted(m.from), strings.TrimSuffix(layout.Root, "/"), hint)}
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

// preflight says what the run has to work with.
func preflight(ctx context.Context, log *slog.Logger, src, dst backends.ReadStore, file string) {
	powers := backends.PowersOf(dst)
	log.Info("migrating", "from", src.Location(), "to", dst.Location(), "checkpoint", file, "destination_can", powers.String())
	if powers.Spacer == nil {
		return
	}
	if space, err := powers.Spacer.Space(ctx); err == nil {
		log.Info("free at the destination", "space", humanize.IBytes(uint64(max(space.Free, 0))))
	}
}
