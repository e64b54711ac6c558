package layouttest

import (
	"reflect"
	"slices"
	"testing"

	"github.com/regferry/regferry/verify/layout"
)

// Each damage breaks exactly the tags it says, and touches only the
// files it says.
func TestDamages(t *testing.T) {
	breaking := 0
	for _, d := range Damages() {
		t.Run(d.Name, func(t *testing.T) {
			dir := t.TempDir()
			r, err := WriteDir(dir, Small(1))
			if err != nil {
				t.Fatal(err)
			}
			before := readTree(t, dir)
			hurt, err := d.Apply(dir, r)
			if err != nil {
				t.Fatal(err)
			}
			after := readTree(t, dir)
			if got := after.brokenTags(); !slices.Equal(got, hurt.Tags) {
				t.Errorf("breaks %q, says %q", got, hurt.Tags)
			}
			if changed := changes(before, after); !slices.Equal(changed, slices.Sorted(slices.Values(hurt.Keys))) {
				t.Errorf("changes %q, says %q", changed, hurt.Keys)
			}
			if len(hurt.Tags) > 0 {
				breaking++
			}
		})
	}
	if breaking < 15 {
		t.Errorf("only %d damages break a tag", breaking)
	}
}

func changes(before, after tree) []string {
	var keys []string
	for key, b := range before {
		if a, ok := after[key]; !ok || string(a) != string(b) {
			keys = append(keys, key)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestDamageNames(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Damages() {
		if d.Name == "" || seen[d.Name] {
			t.Errorf("name %q: empty or twice", d.Name)
		}
		seen[d.Name] = true
	}
}

func TestDamageIsDeterministic(t *testing.T) {
	for _, d := range Damages() {
		var hurts [2]Hurt
		var trees [2]tree
		for i := range hurts {
			dir := t.TempDir()
			r, err := WriteDir(dir, Shape{Seed: 2, Repositories: 1, Tags: 1, Layers: 2, Indexes: 1})
			if err != nil {
				t.Fatal(err)
			}
			if hurts[i], err = d.Apply(dir, r); err != nil {
				t.Fatalf("%s: %v", d.Name, err)
			}
			trees[i] = readTree(t, dir)
		}
		if !reflect.DeepEqual(hurts[0], hurts[1]) || !reflect.DeepEqual(trees[0], trees[1]) {
			t.Errorf("%s: not the same twice", d.Name)
		}
	}
}

// What cannot be done is an error, not a registry that passes for damaged.
func TestDamageToNothing(t *testing.T) {
	for _, d := range Damages() {
		dir := t.TempDir()
		r, err := WriteDir(dir, Shape{})
		if err != nil {
			t.Fatal(err)
		}
		if hurt, err := d.Apply(dir, r); err == nil && d.Name != "blob-unreferenced" {
			t.Errorf("%s of an empty registry: %+v", d.Name, hurt)
		}
	}
}

// The strays are what their names say.
func TestStrayKinds(t *testing.T) {
	want := map[string]layout.Kind{
		"junk": layout.Junk, "uploads": layout.Upload, "unknown": layout.Unknown,
		"bad-digest": layout.Unknown, "outside": layout.Outside,
	}
	dir := t.TempDir()
	r, err := WriteDir(dir, Small(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range strays() {
		hurt, err := d.Apply(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range hurt.Keys {
			if k := layout.Parse(key); k.Kind != want[d.Name] {
				t.Errorf("%s: %s is a %v", d.Name, key, k.Kind)
			}
		}
	}
}
