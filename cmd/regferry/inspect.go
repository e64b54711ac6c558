package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
)

const inspectLong = `Survey a registry's storage before it is moved: what is in it, how much, how
old, what is shared, what is damaged or unusual, what a migration would leave
where it is, what else lies beside the registry, and how large a new volume
should be. Links and manifests are read, blobs are not: regferry verify
--level content does that. Nothing is written.

Exit codes:
  0    surveyed, and nothing is damaged as far as was looked
  2    wrong usage, or there is no registry
  4    surveyed, and something is damaged
  7    the storage cannot be reached or read
  130  interrupted by SIGINT, 143 by SIGTERM; what was seen so far is shown
`

const inspectExample = `  regferry inspect /var/lib/registry
  regferry inspect s3://registry/prod?region=eu-central-1 --json
  regferry inspect /var/lib/registry --report survey.html`

// inspection is what the flags of inspect say. It is an audit of one side that
// counts more.
type inspection struct {
	verification
	json     bool
	document string // the file that it is made in
	found    survey
}

// survey is what an inspection found besides the audit.
type survey struct {
	verify.Inventory
	PullableTags      verify.Proved `json:"pullable_tags"` // that have all that a pull needs
	PullableManifests verify.Proved `json:"pullable_manifests"`

	Beside []verify.Place `json:"beside"`           // what else the storage holds
	Unseen string         `json:"unseen,omitempty"` // why not all of that could be listed
	Volume *volume        `json:"volume,omitempty"` // where it is one
	Ask    int64          `json:"new_volume_bytes"` // to ask of a new volume, a multiple of 1 GiB
}

// volume is the file system that the registry is on, in bytes.
type volume struct {
	Total int64 `json:"total"`
	Used  int64 `json:"used"`
	Free  int64 `json:"free"`
}

func newInspect(sig *signals, code *int) *cobra.Command {
	i := &inspection{verification: verification{sig: sig, references: true, level: string(verify.Presence)}}
	c := &cobra.Command{
		Use: "inspect LOCATION", Short: "Survey a registry's storage: what is in it, and what a move would meet",
		Long: inspectLong, Example: inspectExample,
		Args: oneLocation("regferry inspect /var/lib/registry"),
		RunE: func(c *cobra.Command, args []string) error {
			i.on, i.options.Stop, i.head = args[0], sig.stop, newHead(c)
			var err error
			*code, err = i.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	f.BoolVar(&i.json, "json", false, "write one JSON document to stdout instead of text")
	i.at.add(f, true)
	f.StringVar(&i.metadata, "metadata", "auto", "where the registry keeps its tags: storage, database or auto")
	f.IntVar(&i.options.Workers, "workers", verify.DefaultWorkers, "requests in flight")
	addReport(f, &i.reports)
	i.log.add(f)
	return c
}

func (i *inspection) run(ctx context.Context, out, errOut io.Writer) (int, error) {
	log, err := i.check(errOut)
	if err != nil {
		return exitUsage, err
	}
	shown := i.display(log, errOut)
	i.at.notice(shown.notice)
	if err := i.openSides(ctx, ""); err != nil {
		return exitSide, err
	}
	defer i.closeSides()
	seen, reports := new(recorder), i.reports
	if i.json { // the report in that format, on stdout
		dir, err := os.MkdirTemp("", "regferry-inspect-")
		if err != nil {
			return exitUsage, err
		}
		defer os.RemoveAll(dir)
		i.document = filepath.Join(dir, "inspect.json")
		reports = append(slices.Clone(reports), i.document)
	}
	if err := seen.open(i.head, reports); err != nil {
		return exitUsage, err
	}
	i.options.Inventory = &i.found.Inventory
	s, err := i.verify(ctx, shown, seen)
	if err == nil {
		i.around(ctx)
	}
	i.found.PullableTags, i.found.PullableManifests = s.Tags, s.Revisions
	end := audited{v: &i.verification, summary: s, err: err, seen: seen, survey: true}
	text := surveyed{end, &i.found}
	h := text.head()
	err = errors.Join(err, seen.close(h, text.numbers(), inspectFields{&i.found}), i.print(out, text))
	return end.code(), err
}

// around looks at what the registry lies in. What cannot be seen of that is no
// fault of the registry: a volume's lost+found is root's alone.
func (i *inspection) around(ctx context.Context) {
	store := i.options.Source
	var err error
	if i.found.Beside, err = verify.Beside(ctx, store); err != nil {
		i.found.Unseen = err.Error()
	}
	i.found.Ask = newVolume(i.found.Stored, i.found.Objects)
	spacer := backends.PowersOf(store).Spacer
	if spacer == nil {
		return
	}
	if space, err := spacer.Space(ctx); err == nil { // it is not known everywhere
		i.found.Volume = &volume{space.Total, space.Used, space.Free}
	}
}

// newVolume is how many bytes to ask of a new volume: what the objects have, 8
// KiB each for the blocks of a file and its directory, and a quarter to grow;
// in whole GiB.
func newVolume(bytes, objects int64) int64 {
	const gib = 1 << 30
	need := bytes + objects*8<<10
	need += need / 4
	return max(1, (need+gib-1)/gib) * gib
}

// inspectFields are those of a report that only inspect has.
type inspectFields struct {
	Survey *survey `json:"survey"`
}

// print writes the text or the document.
func (i *inspection) print(out io.Writer, text surveyed) error {
	if !i.json {
		return text.print(out)
	}
	f, err := os.Open(i.document)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
