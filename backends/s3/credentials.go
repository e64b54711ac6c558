package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/regferry/regferry/backends"
)

// credentialsError keeps what the provider of the credentials was told (of STS,
// the instance's metadata, a container's address) apart from what the service
// says: a 404 there is of no object, and its time that is over is not the
// caller's. So what is inside is only told.
type credentialsError struct {
	class backends.Class
	hint  string
	err   error
}

func (e *credentialsError) Error() string { return e.hint + ": " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.class }

// noCredentials is what is wrong when a store is opened. That nobody answers is
// then how a machine without a role looks.
func noCredentials(ctx context.Context, err error) error {
	const hint = "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a role is attached"
	class := credentialsClass(err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", hint, err)
	case !hasAnswer(err):
		class = backends.Denied
	}
	return &credentialsError{class, hint, err}
}

// provider is one whose credentials were had, and have to be renewed.
type provider struct{ aws.CredentialsProvider }

func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	return c, &credentialsError{credentialsClass(err), "the AWS credentials could not be renewed", err}
}

// credentialsClass is that of a failure within the caller's time.
func credentialsClass(err error) backends.Class {
	if hasStatus(err, http.StatusNotFound) {
		return backends.Denied
	}
	switch class := classOf(err); {
	case class == backends.Transient, class == backends.Throttled:
		return class
	case backends.Ended(err): // the provider's own limit
		return backends.Transient
	}
	return backends.Denied
}

func hasAnswer(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return errors.As(err, &status)
}
