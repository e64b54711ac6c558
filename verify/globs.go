package verify

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"
)

// Globs choose repositories: * matches within one component of a name, **
// any number of components. The zero value chooses all.
type Globs []string

// Check refuses what is no pattern.
func (g Globs) Check() error {
	for _, p := range g {
		if p == "" || !doublestar.ValidatePattern(p) {
			return fmt.Errorf("--repository %q is no pattern: write a name or a glob, for example --repository 'team/**'", p)
		}
	}
	return nil
}

// Some says that not all are chosen.
func (g Globs) Some() bool { return len(g) > 0 }

// Match says whether a repository is chosen.
func (g Globs) Match(repository string) bool {
	for _, p := range g {
		if doublestar.MatchUnvalidated(p, repository) {
			return true
		}
	}
	return !g.Some()
}
