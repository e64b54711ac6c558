package location

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// kind is the type that a parameter must have.
type kind uint8

const (
	text     kind = iota
	flag          // true or false, also as a text
	number        // whole, also as a text
	size          // a number of bytes, also as 5M, which charts have in their examples
	texts         // a list
	group         // a mapping
	loglevel      // a text, or the false that YAML makes of off
)

// use is what becomes of a parameter.
type use uint8

const (
	used       use = iota
	ignored        // says how the registry works, not where its storage is
	part           // the size of a part: taken from a URL, ignored in a file, where it is meant for the registry's memory
	secret         // taken from a file, refused in a URL
	inPath         // taken from a file; the bucket and the path of a URL
	ours           // an option of a URL that no registry has
	oursSecret     // the name of such a secret, refused everywhere
)

type param struct {
	kind kind
	use  use
}

// system is a driver of the registry, and the scheme of a URL.
type system struct {
	driver, scheme string
	params         map[string]param
	aliases        map[string]string // easier to guess, in URLs
	bucket, root   string            // the parameters that are host and path of a URL
	folds          bool              // the registry decodes its names without regard to case
	credentials    string            // where secrets belong, for a URL that has them
	server         string            // the option for an address that was written as the host
	example        string
	blank          map[string]string // what a registry does with <nil>, by the parameter that it takes for that where it is blank
	place          func(*params) (place, error)
}

// systems are those with a URL, by the driver's name. The order is that of
// messages.
func systems() []*system {
	return []*system{&s3System, &azureSystem, &gcsSystem, &swiftSystem, &ossSystem}
}

var schemes = map[string]*system{"s3": &s3System, "azblob": &azureSystem, "gs": &gcsSystem, "swift": &swiftSystem, "oss": &ossSystem}

func knownSchemes() []string { return append([]string{"file"}, slices.Sorted(maps.Keys(schemes))...) }

// options are the names that a URL may have.
func (s *system) options() []string {
	names := slices.Collect(maps.Keys(s.aliases))
	for name, p := range s.params {
		if p.use == used || p.use == part || p.use == ours {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// parseURL reads scheme://bucket/root?options.
func (s *system) parseURL(raw string) (place, error) {
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil:
		return nil, errors.New(s.credentials)
	case u.Host == "" || u.Port() != "":
		return nil, fmt.Errorf("a %s comes after %s://, and the address of a server into the option %s", s.bucket, s.scheme, s.server)
	case u.Fragment != "":
		return nil, fmt.Errorf("such a URL has a %s, a path and options, nothing else", s.bucket)
	}
	p := &params{system: s, values: map[string]any{s.bucket: u.Host, s.root: u.Path}}
	if err := p.query(u.RawQuery); err != nil {
		return nil, err
	}
	return p.toPlace()
}

// query adds the options of a URL.
func (p *params) query(raw string) error {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("the options cannot be read: each is name=value, with & between them and %xx for special characters")
	}
	said := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(q)) {
		real := name
		if a, ok := p.system.aliases[name]; ok {
			real = a
		}
		def, known := p.system.params[real]
		switch {
		case !known && looksSecret(name), def.use == secret, def.use == oursSecret:
			return fmt.Errorf("%s: %s", cut(name), p.system.credentials)
		case def.use == inPath:
			return fmt.Errorf("%s: the %s comes after %s://, and the root directory is the path: %s", name, p.system.bucket, p.system.scheme, strings.TrimPrefix(p.system.example, "write "))
		case !known || def.use == ignored:
			return fmt.Errorf("the option %q is not known%s, these are: %s", cut(name), didYouMean(name, p.system.options()), strings.Join(p.system.options(), ", "))
		case len(q[name]) != 1:
			return fmt.Errorf("the option %s is given %d times", name, len(q[name]))
		case said[real] != "":
			return fmt.Errorf("%s and %s say the same", said[real], name)
		}
		said[real] = name
		p.values[real] = q.Get(name)
	}
	return p.check()
}

// looksSecret tells a slip in the name of a secret from other slips.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"secret", "password", "token", "accesskey", "access_key", "credential", "sas", "sig"} {
		if strings.Contains(name, part) && name != "signature" {
			return true
		}
	}
	return false
}

// cut bounds what a message repeats of the input.
func cut(name string) string {
	if len(name) > 64 {
		return name[:64] + "..."
	}
	return name
}

// parseURL leaves out of its error what url.Parse repeats of the input.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	var wrong *url.Error
	if errors.As(err, &wrong) {
		return nil, errors.New("it is no URL: a bucket or container has letters, digits, dots and hyphens, and special characters of the path are escaped as %xx")
	}
	return u, err
}
