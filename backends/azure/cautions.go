package azure

import (
	"context"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

var (
	_ backends.Trier     = (*Store)(nil)
	_ backends.Cautioner = (*Reader)(nil)
)

// Try writes, reads, lists and deletes a scratch blob.
func (s *Store) Try(ctx context.Context) (backends.Trial, error) {
	return backends.TryObject(ctx, s, scratch+"probe-", s.Delete)
}

// Cautions asks for the container's properties. Lifecycle rules and soft delete
// are the account's, and are asked of another service.
func (r *Reader) Cautions(ctx context.Context) (all []string) {
	all = parts.LineCautions(r.o.ServiceURL, r.o.SkipVerify)
	if p, err := r.client.GetProperties(ctx, nil); err == nil {
		if deref(p.HasImmutabilityPolicy) || deref(p.HasLegalHold) {
			all = append(all, "the container has an immutability policy or a legal hold: tags cannot be moved or deleted there, and a registry's garbage collection fails")
		}
		if deref(p.IsImmutableStorageWithVersioningEnabled) {
			all = append(all, "the container keeps versions: what is overwritten or deleted stays, and is paid for")
		}
	}
	return all
}
