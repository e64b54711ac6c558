package location

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// params are what a URL or a section of a file says about one system. The first
// error of a reading method is kept, so that a caller asks for it once.
type params struct {
	system *system
	at     string // the path of the section, such as storage.s3; empty for a URL
	values map[string]any
	facts  *Facts // nil for a URL
	err    error
}

// Format shows no values.
func (p params) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "parameters of "+p.at) }

func (p *params) isURL() bool { return p.at == "" }

// field is how a message calls a parameter.
func (p *params) field(name string) string {
	if p.isURL() {
		return name
	}
	return p.at + "." + cut(name)
}

// wrong keeps the first error. It never repeats a value, which may be a secret
// in a wrong place.
func (p *params) wrong(name, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s %s", p.field(name), fmt.Sprintf(format, args...))
	}
}

func (p *params) warn(format string, args ...any) {
	if p.facts != nil {
		p.facts.Warnings = append(p.facts.Warnings, fmt.Sprintf(format, args...))
	}
}

func (p *params) toPlace() (place, error) {
	at, err := p.system.place(p)
	if p.err != nil {
		return nil, p.err
	}
	if err != nil && !p.isURL() {
		return nil, fmt.Errorf("%s: %w", p.at, err)
	}
	if err != nil {
		return nil, err
	}
	return at, nil
}

// fold renames parameters to the case that the table has, where the registry
// does not mind it.
func (p *params) fold() {
	if !p.system.folds {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		low := strings.ToLower(name)
		if _, known := p.system.params[low]; !known || low == name {
			continue
		}
		if _, twice := p.values[low]; twice {
			p.wrong(name, "and %s say the same", low)
			return
		}
		p.values[low] = p.values[name]
		delete(p.values, name)
	}
}

// check judges names and types of all parameters, also of those that are not
// used: a file that its registry would refuse is not worth guessing at.
func (p *params) check() error {
	p.fold()
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		def, known := p.system.params[name]
		switch {
		case !known || def.use >= ours && !p.isURL():
			p.wrong(name, "is no parameter of %s%s", p.system.driver, didYouMean(name, p.fileNames()))
		case p.values[name] == nil:
			p.blank(name)
			continue
		case def.kind == text:
			p.text(name)
		case def.kind == flag:
			p.flag(name, false)
		case def.kind == number, def.kind == size:
			p.number(name)
		case def.kind == loglevel:
			if p.values[name] != false {
				p.text(name)
			}
		case def.kind == texts:
			p.texts(name)
		case def.kind == group:
			p.group(name)
		}
		if def.use == ignored || def.use == part {
			p.leave(name)
		}
	}
	return p.err
}

// leave says that a parameter of a file is not used here.
func (p *params) leave(names ...string) {
	for _, name := range names {
		if v := p.values[name]; p.facts != nil && v != nil && v != "" {
			p.facts.Ignored = append(p.facts.Ignored, p.field(name))
		}
	}
}

// blank refuses a parameter of a registry's own file that has no value, where
// the driver makes the text <nil> of that. A chart leaves such a one out.
func (p *params) blank(name string) {
	what, trap := p.system.blank[name]
	if trap && p.facts != nil && p.facts.Kind == kindDistribution {
		p.wrong(name, "has no value, in the file or in its variable, and the registry makes the text <nil> of that: %s", what)
	}
}

func (p *params) fileNames() []string {
	var names []string
	for name, def := range p.system.params {
		if def.use < ours {
			names = append(names, name)
		}
	}
	return names
}

// text is empty for what is not given. The registry makes texts of whole
// numbers; of others, nobody knows how they were written.
func (p *params) text(name string) string {
	switch v := p.values[name].(type) {
	case nil:
	case string:
		if strings.ContainsAny(v, "\x00\r\n") && p.system.params[name].use != secret {
			p.wrong(name, "has a line break or a zero byte in it")
		}
		return v
	case int, int64, uint64:
		return fmt.Sprint(v)
	default:
		p.wrong(name, "is %s and not a text: put it into quotes", typeName(v))
	}
	return ""
}

func (p *params) has(name string) bool { return p.text(name) != "" }

func (p *params) flag(name string, otherwise bool) bool {
	switch v := p.values[name].(type) {
	case nil:
		return otherwise
	case bool:
		return v
	case string:
		if v == "" && !p.isURL() {
			return otherwise // a chart's way to say nothing
		}
		if b, err := strconv.ParseBool(v); err == nil {
			return b
		}
	}
	p.wrong(name, "is neither true nor false")
	return otherwise
}

// number is 0 for what is not given.
func (p *params) number(name string) int64 {
	switch v := p.values[name].(type) {
	case nil:
		return 0
	case int:
		return int64(v)
	case int64:
		return v
	case string:
		if v == "" && !p.isURL() {
			return 0
		}
		if n, err := strconv.ParseInt(v, 0, 64); err == nil {
			return n
		}
		if digits := strings.TrimRight(v, "kKMG"); !p.isURL() && p.system.params[name].kind == size && len(v)-len(digits) == 1 {
			if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
				return n << map[byte]int{'k': 10, 'K': 10, 'M': 20, 'G': 30}[v[len(v)-1]]
			}
		}
	}
	if p.system.params[name].kind == size {
		p.wrong(name, "is no number of bytes such as 16777216")
	} else {
		p.wrong(name, "is no whole number")
	}
	return 0
}

// partSize is 0 in a file: there it is the registry's memory that it is for.
func (p *params) partSize(name string) int64 {
	n := p.number(name)
	if !p.isURL() {
		return 0
	}
	if _, given := p.values[name]; given && n <= 0 {
		p.wrong(name, "is no number of bytes such as 16777216")
	}
	return n
}

func (p *params) texts(name string) {
	switch v := p.values[name].(type) {
	case nil, string:
	case []any:
		for _, one := range v {
			if _, ok := one.(string); !ok {
				p.wrong(name, "has an element that is %s and not a text", typeName(one))
			}
		}
	default:
		p.wrong(name, "is %s and not a list", typeName(v))
	}
}

// group is the mapping of that name, nil for none.
func (p *params) group(name string) map[string]any {
	v := p.values[name]
	if v == nil {
		return nil
	}
	m, ok := entries(v)
	if !ok {
		p.wrong(name, "is %s and not a mapping", typeName(v))
	}
	return m
}

// options reads the query of a file URL. A name that is not known is an error:
// an option with a slip in it must not be one that is silently not in force.
func options(query string, known []string, set func(name, value string) error) error {
	p := params{system: &system{driver: "file", scheme: "file", params: map[string]param{}, credentials: "a directory has no credentials"}, values: map[string]any{}}
	for _, name := range known {
		p.system.params[name] = param{}
	}
	if err := p.query(query); err != nil {
		return err
	}
	for name := range p.values {
		if err := set(name, p.text(name)); err != nil {
			return err
		}
	}
	return nil
}

// typeName is what a value is, for people who wrote it.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "empty"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case int, int64, uint64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[any]any, map[string]any:
		return "a mapping"
	}
	return "something else"
}
