package s3

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
)

// Get reads a small object. Its version is the ETag, which may be the MD5 of the
// content.
func (s *Store) Get(ctx context.Context, key string) ([]byte, string, error) {
	content, version, err := s.get(ctx, key)
	if err != nil {
		return nil, "", s.failed("get", key, err)
	}
	return content, version, nil
}

func (s *Store) get(ctx context.Context, key string) ([]byte, string, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return nil, "", err
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: s.name(key)})
	if err != nil {
		return nil, "", err
	}
	size, err := whole(out, 0)
	if err == nil && aws.ToString(out.ETag) == "" {
		err = errNoETag
	}
	if err != nil {
		out.Body.Close()
		return nil, "", err
	}
	content, err := backends.ReadSmall(backends.Promised(ctx, out.Body, key, size))
	return content, *out.ETag, err
}

var (
	errNoETag      = backends.Refuse(backends.Unsupported, "the answer has no ETag, by which an object could be told from the next one")
	errNoCondition = backends.Refuse(backends.Unsupported, "the service ignores If-Match or If-None-Match, or has not got them, so nothing can be replaced on a condition")
)

// PutIf is one request, which is not repeated: of one that has worked and whose
// answer was lost, the second would be told that somebody has changed the object.
func (s *Store) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	next, err := s.putIf(ctx, key, content, version)
	if err != nil {
		return "", s.failed("replace", key, err)
	}
	return next, nil
}

func (s *Store) putIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	if err := backends.CheckSmall(ctx, content); err != nil {
		return "", err
	}
	if err := backends.CheckKey(key, maxKey); err != nil {
		return "", err
	}
	if err := s.conditions.ask(ctx, s); err != nil {
		return "", err
	}
	return s.putOn(ctx, key, content, version)
}

// putOn writes on a condition. The refusal is Changed, also that of a version of
// what is not there any more.
func (s *Store) putOn(ctx context.Context, key string, content []byte, version string) (string, error) {
	once := func(o *s3.Options) { o.RetryMaxAttempts, o.Retryer = 1, aws.NopRetryer{} }
	on := func(in *s3.PutObjectInput) { in.IfMatch = &version }
	if version == "" {
		on = func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	}
	out, err := s.putObjectWith(ctx, key, content, s.proof.claim(content, hashOf(content)), on, once)
	switch {
	case version != "" && hasCode(err, "NoSuchKey"):
		return "", fmt.Errorf("%w: %w", backends.Refuse(backends.Changed, "it is not there any more"), err)
	case err != nil:
		return "", err
	case aws.ToString(out.ETag) == "":
		return "", errNoETag
	}
	return *out.ETag, nil
}

// conditions is whether the service keeps them.
type conditions struct {
	question
	kept bool
}

func (c *conditions) ask(ctx context.Context, s *Store) error {
	err := c.question.ask(ctx, func() (err error) {
		c.kept, err = s.keepsConditions(ctx)
		return err
	})
	if err == nil && !c.kept {
		return errNoCondition
	}
	return err
}

// keepsConditions tries each condition with an object in scratch, once so that
// it must be refused and once so that it must not.
func (s *Store) keepsConditions(ctx context.Context) (bool, error) {
	key := probePrefix + strings.ToLower(rand.Text())
	content := []byte("regferry asks here whether the store replaces on a condition\n")
	defer func() { _ = s.remove(ctx, key) }()
	etag, err := s.putOn(ctx, key, content, "")
	if err == nil {
		var kept bool
		if kept, err = s.refusesPut(ctx, key, content, ""); err != nil || !kept {
			return false, err
		}
		other := []byte("another content, so another ETag\n")
		if kept, err = s.refusesPut(ctx, key, other, `"`+strings.Repeat("0", 32)+`"`); err != nil || !kept {
			return false, err
		}
		if _, err = s.putOn(ctx, key, other, etag); err == nil {
			kept, err = s.refusesPut(ctx, key, content, etag)
			return kept, err
		}
	}
	if classOf(err) == backends.Unsupported || classOf(err) == backends.Changed || hasStatus(err, http.StatusBadRequest) {
		return false, nil
	}
	return false, err
}

// refusesPut says whether a condition that does not hold is refused.
func (s *Store) refusesPut(ctx context.Context, key string, content []byte, version string) (bool, error) {
	_, err := s.putOn(ctx, key, content, version)
	switch class := classOf(err); {
	case err == nil, class == backends.Unsupported, hasStatus(err, http.StatusBadRequest):
		return false, nil
	case class == backends.Changed:
		return true, nil
	}
	return false, err
}
