package verify_test

import (
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// What listings tell is not asked for again, of either side. Where only one of
// them has an object, the other is asked for it once more, and that is all.
func TestNoRequestPerBlob(t *testing.T) {
	dir := tempDir(t)
	made, err := layouttest.WriteDir(dir, layouttest.Shape{Seed: 4, Repositories: 3, Tags: 20, Layers: 3})
	if err != nil {
		t.Fatal(err)
	}
	whole, empty := memory(t, dir), memory(t, t.TempDir())
	objects := int64(0)
	for _, err := range whole.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
	}
	for name, o := range map[string]verify.Options{
		"audited":               {Source: whole},
		"equal":                 {Source: whole, Destination: memory(t, dir)},
		"nothing arrived":       {Source: whole, Destination: empty},
		"nothing at the source": {Source: empty, Destination: whole},
	} {
		source, destination := new(backendtest.Counter), new(backendtest.Counter)
		o.Source = source.WrapRead(o.Source)
		if o.Destination != nil {
			o.Destination = destination.WrapRead(o.Destination)
		}
		run(t, o)
		for side, c := range map[string]*backendtest.Counter{"source": source, "destination": destination} {
			most := int64(len(made.Needs))
			if strings.HasPrefix(name, "nothing") {
				most += objects
			}
			if n := c.Stats.Load(); n > most {
				t.Errorf("%s: %d Stats of the %s for %d objects, of which %d are manifests", name, n, side, objects, len(made.Needs))
			}
		}
	}
}
