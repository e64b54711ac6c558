package s3

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
)

// maxToken is far beyond what any service makes, and below what makes one fail.
const maxToken = 1024

// resume finds the upload that an earlier run left, or returns nil: then the
// content is sent from its start.
func (s *Store) resume(ctx context.Context, key string, c backends.Content) (*upload, error) {
	from := c.From
	if from.Token == "" || len(from.Token) > maxToken || from.Offset <= 0 || from.Offset > c.Size {
		return nil, nil
	}
	s.held.Hold(from.Token)
	parts, err := s.durableParts(ctx, key, from.Token)
	if err == nil {
		if u := s.continued(key, c, parts); u != nil {
			u.stale = s.staleUploads(ctx, key, u.Token)
			return u, nil
		}
		_ = s.abort(ctx, key, from.Token)
	}
	s.held.Release(from.Token)
	if err == nil || errors.Is(err, errListsNoParts) {
		return nil, nil
	}
	return nil, err
}

// continued is the upload at From.Offset, if that is where a part ends and
// each part before it has its size. Those behind are sent again: the state of
// the hash is known at the offset only.
func (s *Store) continued(key string, c backends.Content, parts []types.Part) *upload {
	if len(parts) == 0 {
		return nil
	}
	size := aws.ToInt64(parts[0].Size)
	whole := c.From.Offset == c.Size
	if size <= 0 || size < minPart && !whole || (c.Size+size-1)/size > maxParts || !whole && c.From.Offset%size != 0 {
		return nil
	}
	n := int((c.From.Offset + size - 1) / size)
	if n > len(parts) {
		return nil
	}
	u := s.newUpload(key, c, size)
	for i, p := range parts[:n] {
		if aws.ToInt32(p.PartNumber) != int32(i+1) || aws.ToInt64(p.Size) != min(size, c.Size-int64(i)*size) {
			return nil
		}
		u.parts[i] = types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256}
	}
	u.Token, u.Start = c.From.Token, n
	return u
}

// errListsNoParts: there is no such upload, or it cannot be known.
var errListsNoParts = errors.New("the parts of an upload cannot be listed")

func (s *Store) durableParts(ctx context.Context, key, id string) ([]types.Part, error) {
	var parts []types.Part
	p := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.o.Bucket, Key: s.name(key), UploadId: &id})
	for p.HasMorePages() && len(parts) <= maxParts {
		out, err := p.NextPage(ctx)
		if err != nil {
			return nil, s.partsFailure(err)
		}
		parts = append(parts, out.Parts...)
	}
	return parts, nil
}

// partsFailure takes each refusal for an upload that is gone. What may pass by
// itself stays an error, so that an outage does not cost what is durable.
func (s *Store) partsFailure(err error) error {
	switch classOf(err) {
	case backends.Throttled, backends.Transient:
		return err
	case backends.Denied:
		s.notice("interrupted uploads begin anew: s3:ListMultipartUploadParts is denied")
		return errListsNoParts
	}
	if hasStatus(err, 400, 404, 405, 409, 414, 501) {
		return errListsNoParts
	}
	return err
}
