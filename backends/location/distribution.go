package location

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// siblings are what storage has besides the driver: configuration.go of
// distribution.
var siblings = []string{"cache", "delete", "maintenance", "redirect", "tag"}

// filesystemSystem has the parameters of the driver filesystem; its place is
// made by the Opener, which knows where the volume is mounted.
var filesystemSystem = system{driver: "filesystem", params: map[string]param{
	"rootdirectory": {text, used}, "maxthreads": {number, ignored},
}, blank: map[string]string{
	"rootdirectory": "its tree is in a directory <nil> below the one it was started in; write the directory, or leave the line out for /var/lib/registry",
}}

func driverNames() []string {
	names := []string{"filesystem", "inmemory", "s3aws"}
	for _, s := range systems() {
		names = append(names, s.driver)
	}
	return names
}

// distribution reads the registry's own configuration.
func (o Opener) distribution(root node) (found, error) {
	if v, given := root.v.(map[string]any)["version"]; given && fmt.Sprint(v) != "0.1" {
		return found{}, errors.New("version is not 0.1, the only one that a registry reads")
	}
	at, err := root.in("storage")
	if err != nil {
		return found{}, err
	}
	facts := Facts{Kind: kindDistribution}
	sections, err := sections(at)
	if err != nil {
		return found{}, err
	}
	if err := oneDriver(sections); err != nil {
		return found{}, err // whatever the environment has instead of them
	}
	var others []string
	if facts.Overrides, others, err = override(&sections, o.environ()); err != nil {
		return found{}, err
	}
	if len(facts.Overrides) > 0 {
		facts.Warnings = append(facts.Warnings, "the environment changes what the file says, as it does for a registry: "+strings.Join(facts.Overrides, ", "))
	}
	if len(others) > 0 {
		facts.Warnings = append(facts.Warnings, "variables of the environment for another driver than the file's do not count here, and would keep a registry from starting: "+strings.Join(others, ", "))
	}
	driver, err := driverOf(sections)
	if err != nil {
		return found{}, err
	}
	facts.Driver = driver
	if err := siblingFacts(sections, &facts); err != nil {
		return found{}, err
	}
	section := node{"storage." + driver, sections[driver]}
	if driver == "s3aws" {
		facts.Driver = "s3"
	}
	var p place
	switch driver {
	case "filesystem":
		p, err = o.filesystemSection(section, &facts)
	case "inmemory":
		err = errors.New("storage.inmemory keeps nothing that could be moved")
	default:
		p, err = placed(systemOf(facts.Driver), section, &facts, func(p *params) error { return o.fill(p, "") })
	}
	return found{p, facts}, err
}

func systemOf(driver string) *system {
	for _, s := range systems() {
		if s.driver == driver {
			return s
		}
	}
	return nil
}

// sections are those of storage, which may be the name of a driver alone.
func sections(at node) (map[string]map[string]any, error) {
	if name, ok := at.v.(string); ok {
		return map[string]map[string]any{name: {}}, nil
	}
	m, err := at.mapping()
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]any)
	for name, v := range m {
		section, err := node{"storage." + cut(name), v}.mapping()
		if err != nil {
			return nil, err
		}
		all[name] = section // nil where the file has nothing after the name
	}
	return all, nil
}

func driverOf(sections map[string]map[string]any) (string, error) {
	drivers := driversIn(sections)
	for _, name := range drivers {
		if !slices.Contains(driverNames(), name) {
			return "", fmt.Errorf("storage.%s is no driver and no other part of storage%s", cut(name), didYouMean(name, append(driverNames(), siblings...)))
		}
	}
	if len(drivers) == 0 {
		return "", errors.New("storage has no driver, one of: " + strings.Join(driverNames(), ", "))
	}
	return drivers[0], oneDriver(sections)
}

// driversIn are all sections that are not known to be something else.
func driversIn(sections map[string]map[string]any) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if !slices.Contains(siblings, name) {
			names = append(names, name)
		}
	}
	return names
}

func oneDriver(sections map[string]map[string]any) error {
	if names := driversIn(sections); len(names) > 1 {
		return fmt.Errorf("storage has the drivers %s (variables REGISTRY_STORAGE_* of the environment count, too), and a registry has one", cut(strings.Join(names, " and ")))
	}
	return nil
}

func (o Opener) filesystemSection(section node, facts *Facts) (place, error) {
	p := &params{system: &filesystemSystem, at: section.at, facts: facts}
	var err error
	if p.values, err = section.mapping(); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	dir := "/var/lib/registry" // the driver's default
	if _, given := p.values["rootdirectory"]; given {
		dir = p.text("rootdirectory")
	}
	if dir == "" {
		p.wrong("rootdirectory", "is an empty text, so the registry's tree is at /docker, at the top of its file system: write / if that is meant, or leave the line out for /var/lib/registry")
	}
	return o.directory(dir, ""), p.err
}

// siblingFacts reads what is worth a warning before a migration.
func siblingFacts(sections map[string]map[string]any, f *Facts) error {
	top := make(map[string]any, len(sections))
	for name, s := range sections {
		if s != nil {
			top[name] = s
		}
	}
	f.UploadPurging = true // unless it says otherwise
	for _, one := range []struct {
		path string
		to   *bool
	}{
		{"maintenance.readonly.enabled", &f.ReadOnly},
		{"maintenance.uploadpurging.enabled", &f.UploadPurging},
		{"redirect.disable", &f.RedirectDisable},
		{"delete.enabled", &f.DeleteEnabled},
	} {
		n, err := node{"storage", top}.find(one.path)
		if err != nil {
			return err
		}
		if n.v == nil {
			continue
		}
		if *one.to, err = n.flag(); err != nil {
			return err
		}
	}
	return nil
}
