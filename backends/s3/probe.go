package s3

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/regferry/regferry/backends"
)

// scratch is beside docker/, never inside it.
const scratch = ".regferry/"

// probePrefix is of the objects that test the store.
const probePrefix = scratch + "probe-"

// proof is which wrong claims a store refuses. Where it refuses none, what was
// written is read again.
type proof struct{ sum, payload, md5 bool }

func (p proof) any() bool { return p.sum || p.payload || p.md5 }

// String names them in the order of worth.
func (p proof) String() string {
	var names []string
	if p.sum {
		names = append(names, "x-amz-checksum-sha256")
	}
	if p.payload {
		names = append(names, "signed payload")
	}
	if p.md5 {
		names = append(names, "Content-MD5")
	}
	if names == nil {
		return "nothing, so objects are read back"
	}
	return strings.Join(names, ", ")
}

func newProbe() string { return probePrefix + strings.ToLower(rand.Text()) }

// probe puts an object, and then others with a wrong claim after the other.
func (s *Store) probe(ctx context.Context) error {
	key := newProbe()
	content := []byte("regferry asks here whether the store refuses wrong checksums\n")
	right := hashOf(content)
	wrong := hashOf(right)
	out, err := s.putObject(ctx, key, content, claim{payload: right, sum: right})
	without := hasStatus(err, http.StatusBadRequest, http.StatusNotImplemented)
	if without { // some refuse the header itself
		out, err = s.putObject(ctx, key, content, claim{payload: right})
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.remove(ctx, key) }()
	s.etags.Learn(content, aws.ToString(out.ETag), plain(out.ServerSideEncryption, out.SSECustomerAlgorithm))
	if !without {
		if s.proof.sum, err = s.refuses(ctx, content, claim{payload: right, sum: wrong}); err != nil {
			return err
		}
	}
	if s.proof.payload, err = s.refuses(ctx, content, claim{payload: wrong}); err != nil || s.proof.any() {
		return err
	}
	bad := md5.Sum(right)
	if s.proof.md5, err = s.refuses(ctx, content, claim{payload: right, md5: bad[:]}); err == nil && !s.proof.any() {
		s.notice("the store refuses no wrong checksum of any kind: each object is read again after it is written")
	}
	return err
}

// refuses says whether the store refuses a wrong claim. As the right one was
// accepted, 403 is a refusal, too: of a signature made over another hash than
// that of what came. Each claim has a key of its own, since where nothing may be
// overwritten a second write is refused whatever it claims.
func (s *Store) refuses(ctx context.Context, content []byte, c claim) (bool, error) {
	key := newProbe()
	_, err := s.putObject(ctx, key, content, c)
	if err == nil {
		_ = s.remove(ctx, key)
	}
	return refused(err)
}

// refused judges what was said to a wrong claim.
func refused(err error) (bool, error) {
	if classOf(err) == backends.Corrupt || hasStatus(err, http.StatusBadRequest, http.StatusForbidden) {
		return true, nil
	}
	return false, err
}
