package location

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const persistentVolume = "persistentVolume"

// msrBackends are those of registry.storage.backend: MSR's documentation,
// configure-msr-image-storage.
var msrBackends = []string{persistentVolume, "azure", "gcs", "s3", "swift", "oss"}

// volumeFields are those of persistentVolume, with both spellings that MSR's
// documentation has: the chart's and the resource's.
var volumeFields = []string{"storageClass", "storageClassName", "accessMode", "accessModes", "size"}

// msr reads registry.storage of MSR's chart, or of its custom resource.
//
// MSR's documentation has only some of the fields of a backend, and only for
// S3 (region, bucket, accesskey, secretkey, v4auth). That the others are the
// registry's own parameters of version 2.8 is an assumption: those five are, and
// the storage settings of its predecessor were a registry's configuration.
func (o Opener) msr(root node, kind, path string) (found, error) {
	storage, err := root.find(path)
	if err != nil {
		return found{}, err
	}
	all, err := storage.mapping()
	if err != nil {
		return found{}, err
	}
	facts := Facts{Kind: kind}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "backend" || slices.Contains(msrBackends, name) {
			continue
		}
		if n := nearest(name, append([]string{"backend"}, msrBackends...)); n != "" {
			return found{}, fmt.Errorf("%s.%s is no part of MSR's storage, did you mean %s?", storage.at, cut(name), n)
		}
		facts.Ignored = append(facts.Ignored, storage.at+"."+cut(name)) // the chart is not public
	}
	backend, err := msrBackend(storage, all)
	if err != nil {
		return found{}, err
	}
	section := node{storage.at + "." + backend, all[backend]}
	if backend == persistentVolume {
		facts.Driver = "filesystem"
		p, err := o.claimed(section)
		return found{p, facts}, err
	}
	facts.Driver = backend
	p, err := placed(systemOf(backend), section, &facts, func(p *params) error { return o.fill(p, "") })
	return found{p, facts}, err
}

// msrBackend is the volume where nothing is said, as in the chart; but not
// where another backend's section shows that something was meant.
func msrBackend(storage node, all map[string]any) (string, error) {
	n, err := storage.in("backend")
	if err != nil {
		return "", err
	}
	backend, err := n.text()
	if err != nil {
		return "", err
	}
	if backend != "" {
		if !slices.Contains(msrBackends, backend) {
			return "", fmt.Errorf("%s is none of %s%s", n.at, strings.Join(msrBackends, ", "), didYouMean(backend, msrBackends))
		}
		return backend, nil
	}
	for _, name := range msrBackends[1:] {
		if m, ok := entries(all[name]); ok && len(m) > 0 {
			return "", fmt.Errorf("%s is missing, and %s.%s is there: say which one is used", n.at, storage.at, name)
		}
	}
	return persistentVolume, nil
}

// claimed is the directory where a persistentVolume is mounted.
func (o Opener) claimed(section node) (place, error) {
	fields, err := section.mapping()
	if err != nil {
		return nil, err
	}
	for _, pair := range [][2]string{{"storageClass", "storageClassName"}, {"accessMode", "accessModes"}} {
		a, errA := words(section, fields, pair[0])
		b, errB := words(section, fields, pair[1])
		if err := errors.Join(errA, errB); err != nil {
			return nil, err
		}
		if a != "" && b != "" && a != b {
			return nil, fmt.Errorf("%s.%s and %s are two spellings of one field, and say different things", section.at, pair[0], pair[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if n := nearest(name, volumeFields); n != "" && !slices.Contains(volumeFields, name) {
			return nil, fmt.Errorf("%s.%s is no field, did you mean %s?", section.at, cut(name), n)
		}
	}
	return o.directory("/storage", "MSR's persistentVolume"), nil
}

// words are a text, or a list of texts in one.
func words(section node, fields map[string]any, name string) (string, error) {
	switch v := fields[name].(type) {
	case nil:
	case string:
		return v, nil
	case []any:
		var all []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return "", fmt.Errorf("%s.%s has an element that is %s and not a text", section.at, name, typeName(one))
			}
			all = append(all, s)
		}
		return strings.Join(all, ","), nil
	default:
		return "", fmt.Errorf("%s.%s is %s and not a text or a list of texts", section.at, name, typeName(v))
	}
	return "", nil
}
