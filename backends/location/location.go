package location

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
)

// place is a location that was understood; each system has its type.
type place interface {
	source(context.Context, Opener) (backends.ReadStore, error)
	destination(context.Context, Opener) (backends.Store, error)
	identity() (string, error)
	// section is what a configuration for the platform says of the place.
	section(platform) (*section, error)
}

// Opener opens locations. Its zero value works. All but Notice is for locations
// that are files, and for one side: two sides may need two Openers.
type Opener struct {
	// Notice, unless nil, is told once of each thing that a store does not do,
	// such as comparing checksums, and that is done without; from any goroutine.
	Notice func(string)

	// Environ is where REGISTRY_STORAGE_* is looked for, each "NAME=value"; nil
	// means the environment of the process.
	Environ []string

	// Mount is the directory where the volume of a file is mounted here; empty
	// means where the registry has it, which is /storage for MSR.
	Mount string

	// Secrets is a directory with the secrets that a file does not have: a file
	// for each key, or a directory for each Kubernetes Secret with these.
	Secrets string

	// RegistryVersion is that of the registry that will read a destination, such
	// as 2.8 or 3.1; empty means what the file tells, or 2.8 for MSR and Harbor.
	RegistryVersion string
}

func (o Opener) environ() []string {
	if o.Environ == nil {
		return os.Environ()
	}
	return o.Environ
}

// openWithin is for opening, which asks for credentials and probes the store.
const (
	openWithin = 2 * time.Minute
	openSlow   = 10 * time.Second
)

// Source opens a location that is only read.
func (o Opener) Source(ctx context.Context, raw string) (backends.ReadStore, error) {
	p, err := o.parse(raw)
	if err != nil {
		return nil, err
	}
	return o.openSource(ctx, p)
}

func (o Opener) openSource(ctx context.Context, p found) (backends.ReadStore, error) {
	o.warn(p.facts)
	ctx, end := o.patience(ctx)
	s, err := p.source(ctx, o)
	return s, end(err)
}

// Destination opens a location that is written, and makes its directory.
func (o Opener) Destination(ctx context.Context, raw string) (backends.Store, error) {
	p, err := o.parse(raw)
	if err != nil {
		return nil, err
	}
	o.warn(p.facts)
	ctx, end := o.patience(ctx)
	s, err := p.destination(ctx, o)
	return s, end(err)
}

// patience bounds an opening, and says that it takes long. What it returns is
// to be called with the outcome.
func (o Opener) patience(ctx context.Context) (context.Context, func(error) error) {
	inner, cancel := context.WithTimeout(ctx, openWithin)
	slow := time.AfterFunc(openSlow, func() {
		if o.Notice != nil {
			o.Notice(fmt.Sprintf("the storage has not answered for %s; waiting for %s at most", openSlow, openWithin))
		}
	})
	return inner, func(err error) error {
		slow.Stop()
		defer cancel()
		if err != nil && inner.Err() != nil && ctx.Err() == nil {
			return &backends.Error{Op: "open", Class: backends.Transient,
				Err: fmt.Errorf("no answer within %s: see that the address is right and no firewall is in the way", openWithin)}
		}
		return err
	}
}

func (o Opener) warn(f Facts) {
	if o.Notice == nil {
		return
	}
	for _, text := range f.Warnings {
		o.Notice(text)
	}
}

// AsItIs opens a destination only to look at it. One that does not exist yet
// is an empty one, and is not made.
func (o Opener) AsItIs(ctx context.Context, raw string) (backends.ReadStore, error) {
	p, err := o.parse(raw)
	if err != nil {
		return nil, err // a file that is not there is no empty store
	}
	s, err := o.openSource(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return bucket.New(memblob.OpenBucket(nil), raw), nil
	}
	return s, err
}

// Identity names the place wherever the program is started and however the
// location is written: the absolute path of a volume, or the address of a
// bucket without what does not tell one from another. Nothing is opened but a
// file that names the place.
func (o Opener) Identity(raw string) (string, error) {
	p, err := o.parse(raw)
	if err != nil {
		return "", err
	}
	return p.identity()
}

// Identity is that of the zero Opener.
func Identity(raw string) (string, error) { return Opener{}.Identity(raw) }

// ErrNotVolume says that a location is no directory.
var ErrNotVolume = errors.New("it is no directory")

// Path returns the directory of a location that is a volume, else ErrNotVolume.
func (o Opener) Path(raw string) (dir string, err error) {
	p, err := o.parse(raw)
	if err != nil {
		return "", err
	}
	if v, ok := p.place.(volume); ok {
		return v.dir, nil
	}
	return "", &Error{raw, ErrNotVolume}
}

// Path is that of the zero Opener.
func Path(raw string) (dir string, err error) { return Opener{}.Path(raw) }

// found is a place and what else its file says.
type found struct {
	place
	facts Facts
}

// Format shows no options, since package fmt asks none of their types how to
// print what is in a field that is not exported.
func (p found) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%T", p.place) }

func (o Opener) parse(raw string) (p found, err error) {
	scheme, _, isURL := strings.Cut(raw, "://")
	file, isFile := configFile(raw)
	switch {
	case raw == "":
		err = errors.New("it is empty")
	case isFile:
		p, err = o.parseConfig(file)
	case !isURL, scheme == "file":
		p.place, err = parseFile(raw)
	default:
		s, ok := schemes[scheme]
		if !ok {
			err = fmt.Errorf("the scheme %q is not known here%s, only plain paths, files that end in .yml or .yaml, and %s are", scheme, didYouMean(scheme, knownSchemes()), strings.Join(knownSchemes(), ", "))
			break
		}
		p.place, err = s.parseURL(raw)
	}
	if _, isVolume := p.place.(volume); err == nil && o.Mount != "" && !(isFile && isVolume) {
		err = fmt.Errorf("it names no volume whose mount could be %s: --from-mount and --to-mount are for files that do", backends.Printable(o.Mount))
	}
	if err != nil {
		return found{}, &Error{raw, err}
	}
	return p, nil
}
