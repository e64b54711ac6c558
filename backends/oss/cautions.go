package oss

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

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

// Cautions asks for the bucket's configuration, as far as the policy lets.
func (r *Reader) Cautions(ctx context.Context) (all []string) {
	o := &r.d.o
	all = parts.LineCautions(o.Endpoint, o.SkipVerify)
	if v, err := r.d.client.GetBucketVersioning(ctx, &sdk.GetBucketVersioningRequest{Bucket: &o.Bucket}); err == nil && deref(v.VersionStatus) == "Enabled" {
		all = append(all, "the bucket keeps versions: what is overwritten or deleted stays, and is paid for, until a lifecycle rule removes it")
	}
	if w, err := r.d.client.GetBucketWorm(ctx, &sdk.GetBucketWormRequest{Bucket: &o.Bucket}); err == nil && w.WormConfiguration != nil {
		all = append(all, "the bucket has a retention policy: tags cannot be moved or deleted there, and a registry's garbage collection fails")
	}
	l, err := r.d.client.GetBucketLifecycle(ctx, &sdk.GetBucketLifecycleRequest{Bucket: &o.Bucket})
	if err != nil || l.LifecycleConfiguration == nil {
		return all
	}
	for _, rule := range l.LifecycleConfiguration.Rules {
		all = append(all, ruleCautions(rule, o.Prefix)...)
	}
	return all
}

func ruleCautions(rule sdk.LifecycleRule, root string) (all []string) {
	prefix := deref(rule.Prefix)
	if deref(rule.Status) != "Enabled" || !strings.HasPrefix(prefix, root) && !strings.HasPrefix(root, prefix) {
		return nil
	}
	name := backends.Printable(deref(rule.ID))
	if e := rule.Expiration; e != nil && (deref(e.Days) > 0 || e.CreatedBeforeDate != nil) {
		all = append(all, fmt.Sprintf("the lifecycle rule %s deletes objects by their age: images that are in use will be lost; take it off the registry's objects", name))
	}
	for _, t := range rule.Transitions {
		if strings.Contains(string(t.StorageClass), "Archive") {
			all = append(all, fmt.Sprintf("the lifecycle rule %s archives objects as %s: a registry cannot read them then", name, t.StorageClass))
		}
	}
	return all
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
