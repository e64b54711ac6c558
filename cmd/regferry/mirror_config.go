package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v2"

	"github.com/regferry/regferry/backends/location"
)

// document is a configuration: version, the flags that hold for all mirrors, and
// one map of flags for each mirror.
type document struct {
	Version int              `yaml:"version"`
	Mirrors []map[string]any `yaml:"mirrors"`
	Common  map[string]any   `yaml:",inline"`
}

const configVersion = 1

// readConfig sets what a configuration says. Flags of the command line, if there
// are any, hold where they were given.
func (s *mirrors) readConfig(path string, given *pflag.FlagSet) ([]*pairFlags, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("--config: %w", err)}
	}
	bad := func(where string, err error) error {
		return usageError{fmt.Errorf("--config %s: %s%w", path, where, err)}
	}
	var d document
	if err := yaml.UnmarshalStrict(data, &d); err != nil {
		return nil, bad("", err)
	}
	switch {
	case d.Version != configVersion:
		return nil, bad("", fmt.Errorf("version: it is %d; write version: %d at its top", d.Version, configVersion))
	case len(d.Mirrors) == 0:
		return nil, bad("", errors.New("mirrors: there is none; write a list of maps, each with from and to"))
	}
	common := pflag.NewFlagSet("", pflag.ContinueOnError)
	fresh := new(mirrors)
	fresh.addCommon(common)
	ofOne := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(pairFlags).add(ofOne)
	if err := setAll(common, d.Common, ofOne, "belongs to each mirror, below mirrors:"); err != nil {
		return nil, bad("", err)
	}
	common.Visit(func(f *pflag.Flag) {
		if err == nil && given != nil && !given.Changed(f.Name) {
			err = given.Lookup(f.Name).Value.Set(f.Value.String())
		}
	})
	if err != nil {
		return nil, bad("", err)
	}
	var pairs []*pairFlags
	names := make(map[string]bool)
	for i, entry := range d.Mirrors {
		p, set := new(pairFlags), pflag.NewFlagSet("", pflag.ContinueOnError)
		p.add(set)
		where := fmt.Sprintf("mirrors[%d]: ", i)
		if name, ok := entry["name"].(string); ok {
			where = fmt.Sprintf("mirrors[%d] (%s): ", i, printable(name))
		}
		if err := setAll(set, entry, common, "holds for all mirrors: write it at the top, beside version:"); err != nil {
			return nil, bad(where, err)
		}
		if err := p.check(); err != nil {
			return nil, bad(where, err)
		}
		if names[p.name] {
			return nil, bad(where, fmt.Errorf("name: %q is another mirror's; give each one of its own", p.name))
		}
		names[p.name] = true
		if s.one.state != "" && p.state == "" {
			p.state = filepath.Join(s.one.state, p.name)
		}
		pairs = append(pairs, p)
	}
	return pairs, distinct(pairs)
}

// distinct refuses two mirrors of one destination, and two that are each other's
// source.
func distinct(pairs []*pairFlags) error {
	seen, from := make(map[string]string), make(map[string]string)
	for _, p := range pairs {
		id, err := p.at.from.Identity(p.from)
		if err != nil {
			return err
		}
		from[p.name] = id
	}
	for _, p := range pairs {
		id, err := p.at.to.Identity(p.to)
		if err != nil {
			return err
		}
		if other, ok := seen[id]; ok {
			return usageError{fmt.Errorf("the mirrors %s and %s have the same destination, %s", other, p.name, location.Redacted(p.to))}
		}
		seen[id] = p.name
	}
	for _, p := range pairs {
		if other := seen[from[p.name]]; other != "" {
			for _, q := range pairs {
				if q.name == other && seen[from[other]] == p.name {
					return usageError{fmt.Errorf("the mirrors %s and %s write each other's source; keep one of them", p.name, other)}
				}
			}
		}
	}
	return nil
}

// setAll sets flags by their names; a list sets one that may be repeated. Of a
// name that is one of the elsewhere flags, belongs says where it has to stand.
func setAll(f *pflag.FlagSet, values map[string]any, elsewhere *pflag.FlagSet, belongs string) error {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		flag := f.Lookup(name)
		if flag == nil && elsewhere.Lookup(name) != nil {
			return fmt.Errorf("%s: it %s", name, belongs)
		}
		if flag == nil {
			var known []string
			f.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
			return fmt.Errorf("%q is not known here%s; the keys are the names of the flags: %s", name, location.DidYouMean(name, known), strings.Join(known, " "))
		}
		list, isList := values[name].([]any)
		if !isList {
			list = []any{values[name]}
		} else if _, ok := flag.Value.(pflag.SliceValue); !ok {
			return fmt.Errorf("%s: takes one value, not a list", name)
		}
		for _, v := range list {
			switch v.(type) {
			case string, bool, int, float64:
			default:
				return fmt.Errorf("%s: takes a plain value", name)
			}
			if v == false && flag.Value.Type() == "rate" {
				v = "off" // YAML 1.1 takes the word for false
			}
			if err := f.Set(name, fmt.Sprint(v)); err != nil {
				return flagError(err)
			}
		}
	}
	return nil
}
