package location

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v2"
)

const storageVariable = "REGISTRY_STORAGE"

// override applies REGISTRY_STORAGE_* to the sections of storage, and returns
// the names that counted, and those that are meant for another driver than the
// file's: a registry with both would not start, so they are the other side's.
// For all others it does what configuration/parser.go of distribution
// does: variables in the order of their names; the parts of a name between
// underscores are the path; a value is YAML; what is made is in lower case; a
// mapping within a section that comes from the file is left alone, and so is
// what lies below a value that is none.
func override(all *map[string]map[string]any, environ []string) (names, others []string, err error) {
	environ = slices.Clone(environ)
	slices.SortStableFunc(environ, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		if name != storageVariable && !strings.HasPrefix(name, storageVariable+"_") {
			continue
		}
		path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(name, storageVariable), "_"), "_")
		if anotherDriver(*all, strings.ToLower(path[0])) {
			others = append(others, name)
			continue
		}
		counted, err := overrideOne(all, name, path, value)
		if err != nil {
			return nil, nil, err
		}
		if counted {
			names = append(names, name)
		}
	}
	return names, others, nil
}

// anotherDriver says that a section is that of a driver, and not of the one
// that is named already.
func anotherDriver(all map[string]map[string]any, section string) bool {
	named := driversIn(all)
	same := func(have string) bool { return strings.EqualFold(have, section) }
	return len(named) > 0 && !slices.ContainsFunc(named, same) && slices.Contains(driverNames(), section)
}

func overrideOne(all *map[string]map[string]any, name string, path []string, value string) (bool, error) {
	var v any
	if err := yaml.Unmarshal([]byte(value), &v); err != nil {
		return false, fmt.Errorf("the variable %s is no YAML, which the registry takes it for: put what is in it into quotes", name)
	}
	if name == storageVariable {
		if _, isText := v.(string); v != nil && !isText && !isMapping(v) {
			return false, fmt.Errorf("the variable %s is %s, and neither a driver's name nor a mapping", name, typeName(v))
		}
		replaced, err := sections(node{"storage", v})
		if err != nil {
			return false, fmt.Errorf("the variable %s: %w", name, err)
		}
		*all = replaced
		return true, nil
	}
	if *all == nil {
		*all = make(map[string]map[string]any)
	}
	section := strings.ToLower(path[0])
	if len(path) == 1 {
		m, ok := entries(v)
		if v != nil && !ok {
			return false, fmt.Errorf("the variable %s is %s, and not the mapping of a section", name, typeName(v))
		}
		if m == nil {
			m = make(map[string]any)
		}
		(*all)[section] = m
		return true, nil
	}
	for have := range *all { // of any case
		if strings.ToUpper(have) == path[0] && (*all)[have] != nil {
			return overrideIn((*all)[have], path[1:], v), nil
		}
	}
	m := make(map[string]any)
	(*all)[section] = m
	return overrideIn(m, path[1:], v), nil
}

// overrideIn sets a value below a section; false where the registry would not.
func overrideIn(m map[string]any, path []string, v any) bool {
	name := strings.ToLower(path[0])
	if len(path) == 1 {
		m[name] = v
		return true
	}
	for have, below := range m {
		if strings.ToUpper(have) == path[0] && below != nil {
			deeper, ok := below.(map[string]any) // one of the file's has keys of any type, and is not touched
			return ok && overrideIn(deeper, path[1:], v)
		}
	}
	deeper := make(map[string]any)
	m[name] = deeper
	return overrideIn(deeper, path[1:], v)
}

func isMapping(v any) bool { _, ok := entries(v); return ok }
