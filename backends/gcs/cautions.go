package gcs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/storage"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

var (
	_ backends.Trier     = (*Store)(nil)
	_ backends.Cautioner = (*Reader)(nil)
)

// Try writes, reads, lists and deletes a scratch object.
func (s *Store) Try(ctx context.Context) (backends.Trial, error) {
	return backends.TryObject(ctx, s, probePrefix, s.Delete)
}

// Cautions asks for the bucket's configuration, which needs the right
// storage.buckets.get.
func (r *Reader) Cautions(ctx context.Context) (all []string) {
	all = parts.LineCautions(r.o.Endpoint, false)
	b, err := r.bucket.Attrs(ctx)
	if err != nil {
		return all
	}
	if b.VersioningEnabled {
		all = append(all, "the bucket keeps versions: what is overwritten or deleted stays, and is paid for, until a lifecycle rule removes it")
	}
	if p := b.SoftDeletePolicy; p != nil && p.RetentionDuration > 0 {
		all = append(all, fmt.Sprintf("the bucket keeps what is deleted for %s, and it is paid for", p.RetentionDuration))
	}
	if b.RetentionPolicy != nil || b.DefaultEventBasedHold {
		all = append(all, "the bucket has a retention policy or holds: tags cannot be moved or deleted there, and a registry's garbage collection fails")
	}
	for _, rule := range b.Lifecycle.Rules {
		if rule.Action.Type == storage.DeleteAction && rule.Condition.Liveness != storage.Archived && r.touches(rule.Condition.MatchesPrefix) {
			all = append(all, "a lifecycle rule deletes objects by their age: images that are in use will be lost; take it off the registry's objects")
		}
	}
	return all
}

// touches says whether a rule with these prefixes is for objects of this
// registry.
func (r *Reader) touches(prefixes []string) bool {
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool {
		return strings.HasPrefix(p, r.o.Prefix) || strings.HasPrefix(r.o.Prefix, p)
	})
}
