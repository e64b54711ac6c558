package oss

import (
	"context"
	"errors"
	"strconv"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends"
)

// maxToken is far beyond what the service makes.
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
		s.abort(ctx, key, from.Token)
	}
	s.held.Release(from.Token)
	if err == nil || errors.Is(err, errListsNoParts) {
		return nil, nil
	}
	return nil, err
}

// continued is the upload at From.Offset, if that is where a part ends and
// each part before it has its size and says its CRC64. Those behind are sent
// again: the state of the hash is known at the offset only.
func (s *Store) continued(key string, c backends.Content, parts []sdk.Part) *upload {
	if len(parts) == 0 {
		return nil
	}
	size := parts[0].Size
	whole := c.From.Offset == c.Size
	if size < minPart && !whole || size <= 0 || (c.Size+size-1)/size > maxParts || !whole && c.From.Offset%size != 0 {
		return nil
	}
	n := int((c.From.Offset + size - 1) / size)
	if n > len(parts) {
		return nil
	}
	u := s.newUpload(key, c, size)
	for i, p := range parts[:n] {
		crc, err := strconv.ParseUint(sdk.ToString(p.HashCRC64), 10, 64)
		if err != nil || p.PartNumber != int32(i+1) || p.Size != min(size, c.Size-int64(i)*size) {
			return nil
		}
		u.parts[i], u.crcs[i] = sdk.UploadPart{PartNumber: p.PartNumber, ETag: p.ETag}, crc
	}
	u.Token, u.Start = c.From.Token, n
	return u
}

// errListsNoParts: there is no such upload, or it cannot be known.
var errListsNoParts = errors.New("the parts of an upload cannot be listed")

func (s *Store) durableParts(ctx context.Context, key, id string) ([]sdk.Part, error) {
	var parts []sdk.Part
	in := &sdk.ListPartsRequest{Bucket: &s.o.Bucket, Key: s.d.name(key), UploadId: &id, MaxParts: 1000}
	for len(parts) <= maxParts {
		out, err := s.d.client.ListParts(ctx, in)
		if err != nil {
			return nil, s.partsFailure(ended(ctx, err))
		}
		parts = append(parts, out.Parts...)
		if !out.IsTruncated || out.NextPartNumberMarker <= in.PartNumberMarker {
			break
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
	return parts, nil
}

// partsFailure takes each refusal for an upload that is gone. What may pass by
// itself stays an error, so that an outage does not cost what is durable.
func (s *Store) partsFailure(err error) error {
	switch classOf(err) {
	case backends.Denied:
		s.notice("interrupted uploads begin anew: oss:ListParts is denied")
		return errListsNoParts
	case backends.NotFound, backends.Unsupported, backends.Changed:
		return errListsNoParts
	}
	return err
}
