//go:build linux

package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/location"
)

// TestPreflight asks for each system as a source and as a destination, along a
// ring of real servers: before a migration all is to be copied, after it
// nothing. Each report has its table, its cautions and its estimate (all blobs
// are read for it, which are few), and
// nothing stays that was written to find that out.
func TestPreflight(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	ring := systems()[:6]
	places := []place{onDisk("../../examples/registry")}
	for _, s := range ring[1:] {
		places = append(places, s.place(t))
	}
	places = append(places, onDisk(filepath.Join(t.TempDir(), "volume")))
	for i, to := range places[1:] {
		from, source, destination := places[i], ring[i].name, ring[(i+1)%len(ring)].name
		t.Run(source+" to "+destination, func(t *testing.T) {
			text := preflightOf(t, from, to)
			t.Log(text)
			for _, want := range []string{
				`(?m)^ *source +\S+: read; 74 objects, 1\.1 MiB$`,
				`(?m)^ *destination +\S+: a scratch object was written in \S+, read and removed$`,
				`(?m)^ *to copy +74 objects, 1\.1 MiB, that the destination has not$`,
				`(?m)^ *time +about \d+s, at \S+ \S+/s from the source`,
				`(?m)^ *power +source +destination +without it$`,
				`(?m)^ready`,
			} {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("it does not say %s", want)
				}
			}
			for power, has := range powersOf {
				want := "no"
				if slices.Contains(has, destination) {
					want = "yes"
				}
				if !regexp.MustCompile(`(?m)^ *` + power + ` .*\b` + want + ` +\S`).MatchString(text) {
					t.Errorf("%s: not %q of %s", power, want, destination)
				}
			}
			for side, name := range map[string]string{"source": source, "destination": destination} {
				if name != "volume" && !strings.Contains(text, side+": it is asked by http: ") {
					t.Errorf("it does not warn of http at the %s", side)
				}
			}
			if left := keysAt(t, to.location); len(left) > 0 {
				t.Errorf("it leaves %q", left)
			}
			p := launch(t, "migrate", "--from", from.location, "--to", to.location, "--checkpoint", "none", "--log-level", "error")
			if ended(t, p); p.exit != exitDone {
				t.Fatalf("exit %d\n%s", p.exit, p.out)
			}
			before := keysAt(t, to.location)
			if text := preflightOf(t, from, to); !regexp.MustCompile(`(?m)^ *to copy +0 objects`).MatchString(text) {
				t.Errorf("after the migration it says\n%s", text)
			}
			if after := keysAt(t, to.location); !slices.Equal(before, after) || len(after) != exampleObjects {
				t.Errorf("there are %d objects, and after it %d", len(before), len(after))
			}
		})
	}
}

// What registry 2.8 keeps in segments has no size in Swift's listings, so there
// is no telling how long it takes, nor whether there is room.
func TestPreflightWithoutSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	from, to := inSwift(t), onDisk(filepath.Join(t.TempDir(), "volume"))
	registry := servers.Registry(t, servers.Version2, from.config, from.env...)
	layer, err := registry.PutBlob(t.Context(), "a/b", []byte("a layer")) // in one segment, and larger ones are no different
	if err == nil {
		_, err = registry.PutImage(t.Context(), "a/b", "v1", "", nil, layer)
	}
	if err != nil {
		t.Fatal(err)
	}
	registry.Stop()
	text := preflightOf(t, from, to)
	t.Log(text)
	for _, want := range []string{
		`(?m)^ *to copy +\d+ objects, \S+ \S+ and what listings do not tell, that the destination has not$`,
		`(?m)^ *time +not known, at \S+ \S+/s from the source$`,
		`(?m)^ *! +source: the sizes of 2 objects to copy are in no listing, so whether there is room and how long it takes is not known$`,
		`(?m)^ready, with \d+ warnings?$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("it does not say %s", want)
		}
	}
}

// exampleObjects is how many examples/registry has.
const exampleObjects = 74

// powersOf names who has which, as a destination.
var powersOf = map[string][]string{
	"compares checksums": {"azure", "gcs", "s3", "swift", "oss"},
	"keeps digests":      {"s3"},
	"copies by itself":   {"s3"},
	"syncs in groups":    {"volume"},
	"knows its room":     {"volume"},
	"cleans its scratch": {"volume", "azure", "gcs", "s3", "swift", "oss"},

	"writes on condition": {"volume", "azure", "gcs", "s3"},
	"deletes":             {"volume", "azure", "gcs", "s3", "swift", "oss"},
}

// preflightOf is what the command says.
func preflightOf(t *testing.T, from, to place) string {
	t.Helper()
	p := launch(t, "preflight", "--from", from.location, "--to", to.location, "--read-for", "1m", "--log-level", "error")
	if ended(t, p); p.exit != exitDone {
		t.Fatalf("exit %d\n%s", p.exit, p.out)
	}
	return p.out.String()
}

// keysAt are all in a location, scratch as well.
func keysAt(t *testing.T, at string) (keys []string) {
	t.Helper()
	var o location.Opener
	s, err := o.Source(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}
