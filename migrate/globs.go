package migrate

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"
)

// globs choose repositories: * matches within one component of a name, **
// any number of components. The zero value chooses all.
type globs []string

func (g globs) check() error {
	for _, p := range g {
		if p == "" || !doublestar.ValidatePattern(p) {
			return fmt.Errorf("--repository %q is no pattern: write a name or a glob, for example --repository 'team/**'", p)
		}
	}
	return nil
}

// some says that not all are chosen.
func (g globs) some() bool { return len(g) > 0 }

func (g globs) match(repository string) bool {
	for _, p := range g {
		if doublestar.MatchUnvalidated(p, repository) {
			return true
		}
	}
	return !g.some()
}
