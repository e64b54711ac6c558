package location

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v2"
)

// platform is what reads a configuration.
type platform struct {
	name  string
	three bool // it has the drivers of registry 3, else those of 2.8
	chart bool // it has the parameters that Harbor's chart passes on, and no others
	title string
	steps steps

	database bool // its metadata is there, and is backed up by one of the steps
}

// Platforms are the names that Config knows.
func Platforms() []string {
	var names []string
	for _, p := range platforms {
		names = append(names, p.name)
	}
	return names
}

// section is what a configuration says of a place.
type section struct {
	driver  string
	fields  yaml.MapSlice
	secrets []string // parameters that hold one
	notes   []string // sentences for who puts it in force
}

func (s *section) set(name string, value any) {
	if value == "" || value == false || value == 0 {
		return
	}
	s.fields = append(s.fields, yaml.MapItem{Key: name, Value: value})
}

func (s *section) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// Config writes the storage section with which a platform uses the place, and
// before it, as comments, the steps of the switch. Secrets are references. Where
// the platform cannot read what is written there, the error says so and what to
// do instead. Nothing is opened but a file that names the place.
func (o Opener) Config(ctx context.Context, w io.Writer, raw, name string) error {
	return o.config(ctx, w, raw, name, false)
}

// Switch is Config once all was copied and proved: of the steps it writes those
// that are left.
func (o Opener) Switch(ctx context.Context, w io.Writer, raw, name string) error {
	return o.config(ctx, w, raw, name, true)
}

// Pause writes the steps that a platform needs between the copy while it runs
// and the last one, each a paragraph with its number. database says that one of
// them backs up its metadata, which must not be newer than the last copy.
func Pause(w io.Writer, name string) (database bool, err error) {
	to, err := platformOf(name)
	if err != nil {
		return false, err
	}
	for i, step := range to.steps.pause {
		if _, err := fmt.Fprintf(w, "  %d. %s\n", i+1, step); err != nil {
			return false, err
		}
	}
	return to.database, nil
}

func platformOf(name string) (platform, error) {
	i := slices.IndexFunc(platforms, func(p platform) bool { return p.name == name })
	if i < 0 {
		return platform{}, fmt.Errorf("the platform %q is not known%s, these are: %s", cut(name), didYouMean(name, Platforms()), strings.Join(Platforms(), ", "))
	}
	return platforms[i], nil
}

func (o Opener) config(ctx context.Context, w io.Writer, raw, name string, copied bool) error {
	to, err := platformOf(name)
	if err != nil {
		return err
	}
	at, err := o.parse(raw)
	if err != nil {
		return err
	}
	switch p := at.place.(type) {
	case azureContainer:
		at.place = p.asDestination(o)
	case s3Bucket:
		if at.place, err = p.configured(ctx); err != nil {
			return err
		}
	}
	s, err := at.section(to)
	if err != nil {
		return fmt.Errorf("%s for %s: %w", Redacted(raw), name, err)
	}
	at.facts.notes(s)
	text, err := to.write(s, copied)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// notes are what the file of the place says and the section does not.
func (f Facts) notes(s *section) {
	for _, text := range f.Warnings {
		s.note("%s", text)
	}
	if len(f.Ignored) > 0 {
		s.note("not carried over: %s", strings.Join(f.Ignored, ", "))
	}
}

// write has all steps, or, once all was copied, those that are left.
func (to platform) write(s *section, copied bool) ([]byte, error) {
	var b bytes.Buffer
	comment(&b, to.title)
	left := to.steps.all()
	if copied {
		left = to.steps.after
	}
	for i, step := range left {
		comment(&b, fmt.Sprintf("%d. %s", i+1, step))
	}
	var top yaml.MapSlice
	switch to.name {
	case "msr":
		top = to.msr(s)
	case "harbor":
		top = to.harbor(s)
	default:
		top = to.distribution(s)
	}
	if len(s.notes) > 0 {
		comment(&b, "")
	}
	for _, note := range s.notes {
		comment(&b, "Note: "+note)
	}
	text, err := yaml.Marshal(top)
	if err != nil {
		return nil, err
	}
	b.Write(text)
	return b.Bytes(), nil
}

// comment breaks a text into lines of a comment.
func comment(b *bytes.Buffer, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > 110 {
			b.WriteString(line + "\n")
			line = "#  "
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

func one(name string, value any) yaml.MapSlice { return yaml.MapSlice{{Key: name, Value: value}} }

// variable is how the registry reads a parameter from its environment.
func (s *section) variable(param string) string {
	return strings.ToUpper(storageVariable + "_" + s.driver + "_" + strings.ReplaceAll(param, ".", "_"))
}

func (to platform) distribution(s *section) yaml.MapSlice {
	if len(s.secrets) > 0 {
		var names []string
		for _, param := range s.secrets {
			names = append(names, s.variable(param))
		}
		s.note("the secrets are not here: set %s in the environment of the registry.%s", strings.Join(names, ", "), s.role())
	}
	if s.fields == nil {
		s.fields = yaml.MapSlice{}
	}
	return one("storage", one(s.driver, s.fields))
}

// role says where no keys are needed at all.
func (s *section) role() string {
	if s.driver == "s3" {
		return " With an IAM role of the machine there are none."
	}
	return ""
}

func (to platform) msr(s *section) yaml.MapSlice {
	storage := one("backend", s.driver)
	if s.driver == "filesystem" {
		storage = one("backend", persistentVolume)
	} else {
		for _, param := range s.secrets {
			s.set(param, "${"+strings.TrimPrefix(s.variable(param), storageVariable+"_")+"}")
		}
		if len(s.secrets) > 0 {
			s.note("nothing replaces the ${...}: put the secrets in by envsubst, or give them with --set registry.storage.%s.%s=...%s", s.driver, s.secrets[0], s.role())
		}
		s.note("the fields are those of registry 2.8; MSR documents only some of them, so compare with the values of your chart")
		storage = append(storage, yaml.MapItem{Key: s.driver, Value: s.fields})
	}
	s.note("in the custom resource the same is below spec")
	return one("registry", one("storage", storage))
}

// secretName is that of the Secret that Harbor's configuration refers to.
const secretName = "regferry-storage"

func (to platform) harbor(s *section) yaml.MapSlice {
	storage := one("type", s.driver)
	if s.driver == "filesystem" {
		s.note("name the claim of that volume in persistence.persistentVolumeClaim.registry.existingClaim")
	}
	var literals []string
	for _, k := range secretKeys[s.driver] {
		if k.needed && slices.Contains(s.secrets, k.param) {
			literals = append(literals, "--from-file="+k.keys[0])
		}
	}
	if len(literals) > 0 {
		s.set("existingSecret", secretName)
		s.note("make the Secret from files with the names of its keys: kubectl create secret generic %s %s", secretName, strings.Join(literals, " "))
		if s.driver == "s3" {
			s.note("with an IAM role of the machine, leave out existingSecret")
		}
	}
	if slices.Contains(s.secrets, "accesskeyid") {
		s.set("accesskeyid", "${OSS_ACCESSKEYID}")
		s.note("nothing replaces ${OSS_ACCESSKEYID}: put the identifier of the key there, which is no secret")
	}
	storage = append(storage, yaml.MapItem{Key: s.driver, Value: s.fields})
	return one("persistence", one("imageChartStorage", storage))
}

// errNoDriver is for what registry 3 left out.
func errNoDriver(system, driver string) error {
	return fmt.Errorf("registry 3 has no driver for %s: stay on 2.8 (distribution-v2), or migrate to a system that both have, such as s3, azure, gcs or a volume (the driver %s was removed in 3.0)", system, driver)
}

var errApplicationCredential = errors.New("no registry takes an application credential: give a user, with username=")
