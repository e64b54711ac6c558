package verify

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// Place is what a store holds besides the registry, below one prefix.
type Place struct {
	Prefix string `json:"prefix"`
	Amount
}

// maxPlaces bounds what Beside returns; the last one is then of all the others,
// with an empty prefix.
const maxPlaces = 100

// Beside lists what is in a store and not below the registry's root, added up
// by the first name of each key, or below docker/ by the names down to where
// the root is. It costs a listing of all of that and of nothing else.
func Beside(ctx context.Context, s backends.ReadStore) ([]Place, error) {
	var all []Place
	list := func(after string) iter.Seq2[backends.Object, error] { return s.List(ctx, "", after) }
	for o, err := range layout.Gaps(layout.Cover{layout.Root}, list, func(o backends.Object) string { return o.Key }) {
		if err != nil {
			return all, backends.At(backends.Source, err)
		}
		all = addPlace(all, o)
	}
	return all, nil
}

func addPlace(all []Place, o backends.Object) []Place {
	prefix := placeOf(o.Key)
	at := slices.IndexFunc(all, func(p Place) bool { return p.Prefix == prefix })
	switch {
	case at < 0 && len(all) < maxPlaces-1:
		all = append(all, Place{Prefix: prefix})
		at = len(all) - 1
	case at < 0 && len(all) < maxPlaces:
		all = append(all, Place{})
		at = maxPlaces - 1
	case at < 0:
		at = maxPlaces - 1
	}
	all[at].add(o.Size)
	return all
}

// placeOf is the part of a key that names its place: not in the root, so one
// of the names differs from the root's.
func placeOf(key string) string {
	n := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(layout.Root, "/"), "/") {
		rest := key[n:]
		first, _, more := strings.Cut(rest, "/")
		if !more {
			return key
		}
		n += len(first) + 1
		if first != name {
			break
		}
	}
	return key[:n]
}
