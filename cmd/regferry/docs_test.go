package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends/location"
)

// quotedWord is a word of a shell's command line, as our documents have them.
var quotedWord = regexp.MustCompile(`'[^']*'|[^\s']+`)

// TestCommandsInDocuments parses each command line of the documents: a flag
// that was renamed there and not here would be found at 2 a.m.
func TestCommandsInDocuments(t *testing.T) {
	t.Setenv("OS_USERNAME", "somebody")
	t.Setenv("OS_PASSWORD", "secret")
	t.Setenv("OSS_ACCESS_KEY_ID", "id")
	t.Setenv("OSS_ACCESS_KEY_SECRET", "secret")
	n := 0
	for path, lines := range commandsOf(t) {
		for _, words := range lines {
			n++
			line := strings.Join(words, " ")
			sig := newSignals()
			root := newRoot(sig, new(int))
			c, rest, err := root.Find(words)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil && c.Args != nil {
				err = c.Args(c, c.Flags().Args())
			}
			if err == nil && c == root {
				err = os.ErrNotExist
			}
			sig.close()
			if err == nil {
				err = errors.Join(locationsOf(c)...)
			}
			if err != nil {
				t.Errorf("%s: regferry %s: %v", filepath.Base(path), line, err)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d commands were found", n)
	}
}

// commandsOf are the words of each command, without regferry itself, by the file:
// of the documents, the manifests for Kubernetes (of which examples/kubernetes'
// test wants the chart to make the same) and the units of systemd.
func commandsOf(t *testing.T) map[string][][]string {
	t.Helper()
	all := map[string][][]string{}
	for pattern, read := range map[string]struct {
		files int // at least
		words func(text string) [][]string
	}{
		"../../*.md":                       {2, documented},
		"../../examples/*/*.md":            {9, documented},
		"../../examples/kubernetes/*.yaml": {5, manifested},
		"../../examples/systemd/*.service": {2, started},
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) < read.files {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[path] = read.words(string(text))
		}
	}
	for path, least := range map[string]int{"../../examples/kubernetes/migrate.yaml": 1, "../../examples/kubernetes/verify.yaml": 1, "../../examples/kubernetes/mirror.yaml": 1, "../../examples/systemd/regferry-mirror.service": 2} {
		if len(all[path]) < least {
			t.Errorf("%s: %d commands", path, len(all[path]))
		}
	}
	return all
}

func documented(text string) (all [][]string) {
	for _, line := range commandsIn(text) {
		words := quotedWord.FindAllString(line, -1)
		for i, w := range words {
			words[i] = strings.ReplaceAll(w, "'", "")
		}
		all = append(all, words)
	}
	return all
}

// argument is an item of a container's args, also one that is commented out for the
// reader to turn on.
var argument = regexp.MustCompile(`^\s+(?:# )?- (--[^\s#]+|migrate$|verify$|mirror$)`)

func manifested(text string) (all [][]string) {
	for line := range strings.Lines(text) {
		m := argument.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m == nil:
		case strings.HasPrefix(m[1], "--"):
			last := len(all) - 1
			all[last] = append(all[last], m[1])
		default:
			all = append(all, []string{m[1]})
		}
	}
	return all
}

// started are the commands of a unit, its specifiers in the place of paths.
func started(text string) (all [][]string) {
	for _, m := range regexp.MustCompile(`(?m)^Exec\w+=/usr/local/bin/regferry (.*)$`).FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Fields(strings.NewReplacer("%d", "/run/credentials", "%S", "/var/lib").Replace(m[1])))
	}
	return all
}

// locationsOf reads the locations of a command, as far as that opens nothing.
func locationsOf(c *cobra.Command) (errs []error) {
	raws := c.Flags().Args()
	for _, name := range []string{"from", "to", "on"} {
		if f := c.Flags().Lookup(name); f != nil {
			raws = append(raws, f.Value.String())
		}
	}
	for _, raw := range raws {
		if strings.Contains(raw, "://") {
			_, err := location.Identity(raw)
			errs = append(errs, err)
		}
	}
	return errs
}

// commandsIn are the command lines after "regferry", in code.
func commandsIn(text string) (all []string) {
	code := regexp.MustCompile("(?s)```\n.*?```|`[^`\n]*(?:\n[^`\n]*)?`")
	command := regexp.MustCompile(`(?:^|\s)(?:\./cmd/|/)?regferry ((?:migrate|verify|inspect|preflight|mirror|config|checkpoint)\b[^\n` + "`" + `]*)`)
	for _, block := range code.FindAllString(text, -1) {
		if !strings.HasPrefix(block, "```") {
			block = strings.ReplaceAll(block, "\n   ", " ") // a list's item goes on
		}
		for _, m := range command.FindAllStringSubmatch(block, -1) {
			line := strings.TrimSpace(m[1])
			if strings.Contains(line, "...") || !strings.Contains(line, " ") || slices.Contains([]string{"(", "["}, line[len(line)-1:]) {
				continue // a name, or the outline of a command
			}
			all = append(all, line)
		}
	}
	return all
}
