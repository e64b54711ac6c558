package backendtest

import (
	"context"

	"github.com/regferry/regferry/backends"
)

// powers wraps those that s has and leaves out those that it has not.
func (f *Faults) powers(s backends.ReadStore) backends.Powers {
	p := backends.PowersOf(s)
	if p.Syncer != nil {
		p.Syncer = faultySyncer{p.Syncer, f}
	}
	if p.Spacer != nil {
		p.Spacer = faultySpacer{p.Spacer, f}
	}
	if p.Cleaner != nil {
		p.Cleaner = faultyCleaner{p.Cleaner, f}
	}
	return p
}

type faultySyncer struct {
	backends.Syncer
	f *Faults
}

func (s faultySyncer) Sync(ctx context.Context) error {
	a, err := s.f.call(ctx, "sync", "")
	if err != nil {
		return err
	}
	return s.f.after(a, "sync", "", s.Syncer.Sync(ctx))
}

type faultySpacer struct {
	backends.Spacer
	f *Faults
}

func (s faultySpacer) Space(ctx context.Context) (backends.Space, error) {
	if _, err := s.f.call(ctx, "space", ""); err != nil {
		return backends.Space{}, err
	}
	return s.Spacer.Space(ctx)
}

type faultyCleaner struct {
	backends.Cleaner
	f *Faults
}

func (s faultyCleaner) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	a, err := s.f.call(ctx, "clean", "")
	if err != nil {
		return 0, err
	}
	n, err := s.Cleaner.Clean(ctx, keep)
	return n, s.f.after(a, "clean", "", err)
}

// withPowers returns s with exactly the powers in p. Go has no value whose
// method set is chosen at run time, so each combination is a type; a test
// fails when package backends gets a power that is not among them.
func withPowers(s backends.Store, p backends.Powers) backends.Store {
	y, sp, c := p.Syncer, p.Spacer, p.Cleaner
	switch has := [3]bool{y != nil, sp != nil, c != nil}; has {
	case [3]bool{true, false, false}:
		return struct {
			backends.Store
			backends.Syncer
		}{s, y}
	case [3]bool{false, true, false}:
		return struct {
			backends.Store
			backends.Spacer
		}{s, sp}
	case [3]bool{false, false, true}:
		return struct {
			backends.Store
			backends.Cleaner
		}{s, c}
	case [3]bool{true, true, false}:
		return struct {
			backends.Store
			backends.Syncer
			backends.Spacer
		}{s, y, sp}
	case [3]bool{true, false, true}:
		return struct {
			backends.Store
			backends.Syncer
			backends.Cleaner
		}{s, y, c}
	case [3]bool{false, true, true}:
		return struct {
			backends.Store
			backends.Spacer
			backends.Cleaner
		}{s, sp, c}
	case [3]bool{true, true, true}:
		return struct {
			backends.Store
			backends.Syncer
			backends.Spacer
			backends.Cleaner
		}{s, y, sp, c}
	}
	return s
}

// readWithPowers is withPowers for a side that is only read. A Syncer is a
// store that is written; one that is opened for reading only may still be one.
func readWithPowers(s backends.ReadStore, p backends.Powers) backends.ReadStore {
	y, sp, c := p.Syncer, p.Spacer, p.Cleaner
	switch has := [3]bool{y != nil, sp != nil, c != nil}; has {
	case [3]bool{true, false, false}:
		return struct {
			backends.ReadStore
			backends.Syncer
		}{s, y}
	case [3]bool{false, true, false}:
		return struct {
			backends.ReadStore
			backends.Spacer
		}{s, sp}
	case [3]bool{false, false, true}:
		return struct {
			backends.ReadStore
			backends.Cleaner
		}{s, c}
	case [3]bool{true, true, false}:
		return struct {
			backends.ReadStore
			backends.Syncer
			backends.Spacer
		}{s, y, sp}
	case [3]bool{true, false, true}:
		return struct {
			backends.ReadStore
			backends.Syncer
			backends.Cleaner
		}{s, y, c}
	case [3]bool{false, true, true}:
		return struct {
			backends.ReadStore
			backends.Spacer
			backends.Cleaner
		}{s, sp, c}
	case [3]bool{true, true, true}:
		return struct {
			backends.ReadStore
			backends.Syncer
			backends.Spacer
			backends.Cleaner
		}{s, y, sp, c}
	}
	return s
}
