package s3

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Try writes, reads, lists and deletes a scratch object.
func (s *Store) Try(ctx context.Context) (backends.Trial, error) {
	return backends.TryObject(ctx, s, probePrefix, s.Delete)
}

// Cautions asks for the bucket's configuration, as far as the policy lets.
func (r *Reader) Cautions(ctx context.Context) []string {
	all := parts.LineCautions(endpointOf(r.client, r.o), r.o.SkipVerify)
	if kept, _ := r.versioned(ctx); kept {
		all = append(all, "the bucket keeps versions: what is overwritten or deleted stays, and is paid for, until a lifecycle rule removes it")
	}
	if l, err := r.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &r.o.Bucket}); err == nil &&
		l.ObjectLockConfiguration != nil && l.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled {
		all = append(all, "the bucket has object lock: a registry may not be able to delete there, and its garbage collection fails")
	}
	rules, err := r.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &r.o.Bucket})
	if err != nil {
		return all
	}
	for _, rule := range rules.Rules {
		if rule.Status == types.ExpirationStatusEnabled && r.touches(rule) {
			all = append(all, ruleCautions(rule)...)
		}
	}
	return all
}

// versioned says whether the bucket keeps what is overwritten and deleted.
func (r *Reader) versioned(ctx context.Context) (bool, error) {
	v, err := r.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &r.o.Bucket})
	if err != nil {
		return false, err
	}
	return v.Status == types.BucketVersioningStatusEnabled, nil
}

// touches says whether a rule is for keys of this registry.
func (r *Reader) touches(rule types.LifecycleRule) bool {
	//lint:ignore SA1019 it is deprecated, and other services still answer with it
	prefix := aws.ToString(rule.Prefix)
	if f := rule.Filter; f != nil {
		prefix = aws.ToString(f.Prefix)
		if f.And != nil {
			prefix = aws.ToString(f.And.Prefix)
		}
	}
	return strings.HasPrefix(prefix, r.o.Prefix) || strings.HasPrefix(r.o.Prefix, prefix)
}

func ruleCautions(rule types.LifecycleRule) (all []string) {
	name := backends.Printable(aws.ToString(rule.ID))
	if e := rule.Expiration; e != nil && (e.Date != nil || aws.ToInt32(e.Days) > 0) {
		all = append(all, fmt.Sprintf("the lifecycle rule %s deletes objects by their age: images that are in use will be lost; take it off the registry's keys", name))
	}
	for _, t := range rule.Transitions {
		if t.StorageClass == types.TransitionStorageClassGlacier || t.StorageClass == types.TransitionStorageClassDeepArchive {
			all = append(all, fmt.Sprintf("the lifecycle rule %s archives objects as %s: a registry cannot read them then", name, t.StorageClass))
		}
	}
	if a := rule.AbortIncompleteMultipartUpload; a != nil && aws.ToInt32(a.DaysAfterInitiation) < 7 {
		all = append(all, fmt.Sprintf("the lifecycle rule %s aborts uploads after %d days: a large blob that is interrupted for longer begins anew", name, aws.ToInt32(a.DaysAfterInitiation)))
	}
	return all
}
