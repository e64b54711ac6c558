package azure

import (
	"context"
	"fmt"

	"github.com/regferry/regferry/backends"
)

// registry is what every registry has below its root.
const registry = "docker/registry/v2/"

// before is what a name has before the registry's path.
func (o *Options) before(root Root) string {
	if root == RootSlash {
		return "/" + o.Prefix
	}
	return o.Prefix
}

// findRoot looks where the registry is, and asks for a key in any case, so that
// a missing container or right is said here and now.
func (r *Reader) findRoot(ctx context.Context, writing bool) (Root, error) {
	wanted, _ := r.o.wanted()
	if r.o.Root != "" {
		_, err := r.any(ctx, r.o.before(r.o.Root)+registry)
		return r.o.Root, err
	}
	plain, err := r.any(ctx, r.o.before(RootPlain)+registry)
	if err != nil {
		return "", err
	}
	slash, err := r.any(ctx, r.o.before(RootSlash)+registry)
	if err != nil {
		return "", err
	}
	has := RootPlain
	if slash {
		has = RootSlash
	}
	switch {
	case plain && slash:
		return "", r.refuseRoot("has two registries, one with names as %[1]s, as registry 3 has them, and one with /%[1]s, as registry 2 has them: say which one with root=%[2]s or root=%[3]s", RootPlain, RootSlash)
	case wanted == "" || wanted == has:
		return has, nil
	case !plain && !slash:
		return wanted, nil
	case !writing:
		return "", r.refuseRoot("has names with the root %[2]s, and registry %[3]s reads such with another: leave the version out", has, r.o.RegistryVersion)
	}
	return "", r.refuseRoot("has a registry with names of the root %[2]s already, which registry %[3]s does not read: choose an empty container, or root=%[4]s to write beside it", has, r.o.RegistryVersion, wanted)
}

func (r *Reader) refuseRoot(format string, args ...any) error {
	return backends.Refuse(backends.Unsupported, "the container "+r.o.Container+" "+fmt.Sprintf(format, append([]any{r.o.Prefix + registry}, args...)...))
}

// any says whether there is a blob whose name has this prefix.
func (r *Reader) any(ctx context.Context, prefix string) (bool, error) {
	marker := ""
	for p := r.pages(prefix, "", 1); p.More(); {
		page, err := p.NextPage(ctx)
		if err == nil {
			marker, err = next(page, marker)
		}
		if err != nil {
			return false, err
		}
		for _, item := range page.Segment.BlobItems {
			_, err := r.object(item)
			return err == nil, err
		}
	}
	return false, nil
}
