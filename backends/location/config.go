package location

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Facts are what a file says besides the place. A URL and a path have none.
type Facts struct {
	Kind   string // such as "registry configuration", empty for a URL or a path
	Driver string // the registry's name for it: filesystem, s3, azure, gcs, swift, oss

	ReadOnly        bool // storage.maintenance.readonly.enabled
	RedirectDisable bool // clients are not sent to the bucket
	DeleteEnabled   bool // manifests can be deleted
	UploadPurging   bool // the registry itself removes old uploads, even when it is read-only

	Ignored   []string // parameters that are not used here, so a configuration made from the file has none of them
	Overrides []string // variables of the environment that counted
	Warnings  []string // sentences for the operator
}

// Facts reads what the file of a location says besides the place.
func (o Opener) Facts(raw string) (Facts, error) {
	p, err := o.parse(raw)
	return p.facts, err
}

// The kinds of files.
const (
	kindDistribution = "registry configuration"
	kindMSRResource  = "MSR resource"
	kindMSRValues    = "MSR values"
	kindHarbor       = "Harbor values"
)

// wanted is what a file is expected to have, for one that has none of it.
const wanted = "storage (a registry's config.yml), kind: MSR (MSR's resource), registry.storage.backend (values of MSR's chart) or persistence.imageChartStorage (values of Harbor's chart)"

// parseConfig reads the file of a location.
func (o Opener) parseConfig(path string) (found, error) {
	text, err := readFile(path)
	if err != nil {
		return found{}, err
	}
	return o.parseText(text)
}

func (o Opener) parseText(text []byte) (found, error) {
	all, err := documents(text)
	if err != nil {
		return found{}, err
	}
	var (
		meant map[string]any
		kind  string
	)
	for _, root := range all {
		k, err := recognise(root)
		switch {
		case err != nil:
			return found{}, err
		case k == "":
			continue
		case kind != "":
			return found{}, fmt.Errorf("it names two storages (%s and %s): leave only the one that is meant", kind, k)
		}
		meant, kind = root, k
	}
	root := node{v: meant}
	switch kind {
	case kindDistribution:
		return o.distribution(root)
	case kindMSRResource:
		return o.msr(root, kind, "spec.registry.storage")
	case kindMSRValues:
		return o.msr(root, kind, "registry.storage")
	case kindHarbor:
		return o.harbor(root)
	}
	return found{}, nothing(all)
}

// recognise returns the kind of a document, empty for one of something else.
func recognise(root map[string]any) (kind string, err error) {
	var kinds []string
	version, _ := root["apiVersion"].(string)
	group, _, _ := strings.Cut(version, "/")
	switch {
	case root["kind"] == "MSR" && group == "msr.mirantis.com":
		if version != "msr.mirantis.com/v1" {
			return "", fmt.Errorf("apiVersion is %s, and only msr.mirantis.com/v1 is known here", printable(version))
		}
		kinds = append(kinds, kindMSRResource)
	case root["kind"] != nil && version != "":
		return "", nil // another resource
	}
	if _, ok := root["storage"]; ok {
		kinds = append(kinds, kindDistribution)
	}
	registry, _ := entries(root["registry"])
	if _, ok := registry["storage"]; ok {
		kinds = append(kinds, kindMSRValues)
	}
	persistence, _ := entries(root["persistence"])
	claims, _ := entries(persistence["persistentVolumeClaim"])
	if persistence["imageChartStorage"] != nil || claims["registry"] != nil {
		kinds = append(kinds, kindHarbor)
	}
	if len(kinds) > 1 {
		return "", fmt.Errorf("it could be two things (%s and %s): leave only the one that is meant", kinds[0], kinds[1])
	}
	return strings.Join(kinds, ""), nil
}

// nothing says that no document names a storage, and what is nearly right.
func nothing(all []map[string]any) error {
	if len(all) == 0 {
		return errors.New("it is empty, or no mapping; it should have " + wanted)
	}
	for _, root := range all {
		for _, name := range []string{"imageChartStorage", "storage"} {
			if at := whereIs(root, name, 4); at != "" {
				return fmt.Errorf("it names no storage where one is looked for: %s; there is a %s, so look at the indentation and at what is above it", wanted, at)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(root)) {
			if n := nearest(name, []string{"storage", "persistence"}); n != "" {
				return fmt.Errorf("it names no storage: there is no %s; there is %s, did you mean %s?", wanted, printable(name), n)
			}
		}
	}
	return fmt.Errorf("it names no storage: there is no %s. If MSR has its volume by default, give the directory where that is mounted", wanted)
}

// whereIs is the path of a key at most so deep, empty for none.
func whereIs(m map[string]any, name string, deep int) string {
	if _, ok := m[name]; ok {
		return name
	}
	if deep == 0 {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if below, ok := entries(m[key]); ok {
			if at := whereIs(below, name, deep-1); at != "" {
				return cut(key) + "." + at
			}
		}
	}
	return ""
}

// placed reads the section of a driver.
func placed(s *system, section node, facts *Facts, more func(*params) error) (place, error) {
	values, err := section.mapping()
	if err != nil {
		return nil, err
	}
	p := &params{system: s, at: section.at, values: maps.Clone(values), facts: facts}
	if p.values == nil {
		p.values = make(map[string]any)
	}
	if more != nil {
		if err := more(p); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.placeholders()
	return p.toPlace()
}

// placeholders warns of references that nobody will replace: the registry takes
// them as they are.
func (p *params) placeholders() {
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if v, ok := p.values[name].(string); ok && strings.Contains(v, "${") && strings.HasSuffix(v, "}") {
			p.warn("%s has ${...} in it, which neither the registry nor this program replaces", p.field(name))
		}
	}
}

// directory is a volume at a path of the registry's, or where it is mounted.
func (o Opener) directory(dir, claim string) volume {
	if o.Mount != "" {
		dir = o.Mount
	}
	return volume{dir: dir, claim: claim}
}
