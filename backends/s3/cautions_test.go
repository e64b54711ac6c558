package s3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// What MinIO is told of a bucket, an operator is told again.
func TestCautions(t *testing.T) {
	server := servers.MinIO(t)
	server.Credentials(t)
	said := func(bucket, root string) string {
		t.Helper()
		s := open(t, s3.Options{Bucket: bucket, Prefix: root, Endpoint: server.Endpoint, PathStyle: true})
		defer s.Close()
		return strings.Join(backends.PowersOf(s).Cautioner.Cautions(t.Context()), "\n")
	}
	server.Bucket(t, "plain")
	if got := said("plain", ""); strings.Count(got, "\n") > 0 || !strings.Contains(got, "by http") {
		t.Errorf("of a plain bucket: %q", got)
	}

	_, err := server.Client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("locked"), ObjectLockEnabledForBucket: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if got := said("locked", ""); !strings.Contains(got, "keeps versions") || !strings.Contains(got, "object lock") {
		t.Errorf("of a locked bucket: %q", got)
	}

	server.Bucket(t, "ruled")
	_, err = server.Client.PutBucketLifecycleConfiguration(t.Context(), &awss3.PutBucketLifecycleConfigurationInput{
		Bucket: aws.String("ruled"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
			{ID: aws.String("old things"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("prod/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)}},
			{ID: aws.String("asleep"), Status: types.ExpirationStatusDisabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]bool{"": true, "prod": true, "prod/eu": true, "test": false, "product": false} {
		got := said("ruled", root)
		if strings.Contains(got, `rule "old things" deletes`) != want || strings.Contains(got, "asleep") {
			t.Errorf("of %q: %q", root, got)
		}
	}
}

// A trial leaves nothing, and is as exact about the clock as the service.
func TestTry(t *testing.T) {
	server := servers.VersityGW(t)
	server.Credentials(t)
	server.Bucket(t, "tried")
	s := open(t, s3.Options{Bucket: "tried", Prefix: "of", Endpoint: server.Endpoint, PathStyle: true})
	defer s.Close()
	trial, err := backends.PowersOf(s).Trier.Try(t.Context())
	if err != nil || trial.Took <= 0 || trial.Clock != 0 {
		t.Errorf("%+v, %v", trial, err)
	}
	for o, err := range s.List(t.Context(), "", "") {
		t.Errorf("left: %+v, %v", o, err)
	}
}

// A policy that forbids deleting forbids no migration, and nobody has to find
// out from what stays.
func TestTryWithoutDelete(t *testing.T) {
	g, _, s, _ := gated(t, func(*s3.Options) {})
	g.strike("DeleteObject", 1, 9, says(403, "AccessDenied"))
	trial, err := backends.PowersOf(s).Trier.Try(t.Context())
	if err != nil || !errors.Is(trial.Stays, backends.Denied) {
		t.Errorf("%+v, %v", trial, err)
	}
}
