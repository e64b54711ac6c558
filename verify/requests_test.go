package verify_test

import (
	"testing"

	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// What listings tell is not asked for again, of either side, also where one of
// them has nothing and so every tag of the other is judged there.
func TestNoRequestPerBlob(t *testing.T) {
	dir := tempDir(t)
	made, err := layouttest.WriteDir(dir, layouttest.Shape{Seed: 4, Repositories: 3, Tags: 20, Layers: 3})
	if err != nil {
		t.Fatal(err)
	}
	whole, empty := memory(t, dir), memory(t, t.TempDir())
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
			if n := c.Stats.Load(); n > int64(len(made.Needs)) {
				t.Errorf("%s: %d Stats of the %s for %d blobs, of which %d are manifests", name, n, side, len(made.Blobs), len(made.Needs))
			}
		}
	}
}
