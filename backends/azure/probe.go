package azure

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"hash/crc64"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/regferry/regferry/backends"
)

// proof is which wrong checksums of a request the service refuses.
type proof struct{ crc64, md5 bool }

func (p proof) String() string {
	var names []string
	if p.crc64 {
		names = append(names, "x-ms-content-crc64")
	}
	if p.md5 {
		names = append(names, "Content-MD5")
	}
	return strings.Join(names, ", ")
}

// crcTable is the service's polynomial: learn.microsoft.com/rest/api/storageservices/put-blob
var crcTable = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// claim is the checksum that a request is sent with.
func (s *Store) claim(b []byte) blob.TransferValidationType {
	if s.proof.md5 {
		return ofBlob(b)
	}
	return blob.TransferValidationTypeCRC64(crc64.Checksum(b, crcTable)) // the SDK would copy the bytes for it
}

func ofBlob(b []byte) blob.TransferValidationType {
	sum := md5.Sum(b)
	return blob.TransferValidationTypeMD5(sum[:])
}

// probe puts a blob, and then others with a wrong checksum each. A service that
// accepts both is refused: Azure compares each, so whoever accepts them is
// something that nothing is known of.
func (s *Store) probe(ctx context.Context) error {
	content := []byte("regferry asks here whether the service refuses wrong checksums\n")
	err := s.tryUpload(ctx, content, ofBlob(content))
	if err != nil {
		return err
	}
	if s.proof.crc64, err = s.refuses(ctx, content, blob.TransferValidationTypeCRC64(1)); err != nil {
		return err
	}
	if s.proof.md5, err = s.refuses(ctx, content, blob.TransferValidationTypeMD5(make([]byte, md5.Size))); err != nil {
		return err
	}
	if s.proof == (proof{}) {
		return backends.Refuse(backends.Unsupported, "the service accepts a wrong CRC64 and a wrong MD5, so nothing that is written to it would be proved")
	}
	return nil
}

// tryUpload puts a blob in scratch and removes it again. Each has a name of its
// own: a retention policy forbids to write over one.
func (s *Store) tryUpload(ctx context.Context, content []byte, claim blob.TransferValidationType) error {
	name := "probe-" + strings.ToLower(rand.Text())
	s.held.Hold(name)
	defer s.held.Release(name)
	err := s.upload(ctx, scratch+name, content, claim)
	if err == nil {
		s.remove(ctx, name)
	}
	return err
}

// refuses says whether a wrong checksum is refused as such: an older Azurite
// calls a wrong MD5 an invalid operation.
func (s *Store) refuses(ctx context.Context, content []byte, wrong blob.TransferValidationType) (bool, error) {
	err := s.tryUpload(ctx, content, wrong)
	switch {
	case classOf(err) == backends.Corrupt, hasStatus(err, http.StatusBadRequest) && bloberror.HasCode(err, bloberror.InvalidOperation):
		return true, nil
	case hasStatus(err, http.StatusBadRequest), hasStatus(err, http.StatusNotImplemented):
		return false, nil // the header itself is refused
	}
	return false, err
}
