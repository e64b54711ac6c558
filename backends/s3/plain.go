package s3

import (
	"context"
	"crypto/md5"
	"net/http"
	"sync/atomic"

	"github.com/regferry/regferry/backends"
)

// plainParts is how parts are proved by a service that compares x-amz-checksum-sha256
// of an object and has none of a part, as Cloudflare R2, which answers 501 to it
// and to x-amz-checksum-algorithm. It is found out at the first large object.
type plainParts struct {
	question
	known atomic.Bool
	proof proof // once known
}

// proof is which claims are compared of the parts of an upload.
func (u *upload) proof() proof {
	if u.s.plain.known.Load() {
		return u.s.plain.proof
	}
	p := u.s.proof
	p.sum = p.sum && !u.plain
	return p
}

// refusesHeader says whether a request may have been refused for a header that
// it had, and not for what the header said.
func refusesHeader(err error) bool {
	if !hasStatus(err, http.StatusBadRequest, http.StatusNotImplemented) {
		return false
	}
	class := classOf(err)
	return class == backends.Unsupported || class == backends.Unknown
}

// provePlain finds out which wrong claims of a part are refused where none has
// x-amz-checksum-sha256. The part is sent after that, so what it tries is written
// over; and an upload is completed with the parts that were sent, by their ETags.
func (u *upload) provePlain(ctx context.Context, n int) error {
	known := &u.s.plain
	return known.ask(ctx, func() error {
		content := []byte("regferry asks here whether the store refuses wrong checksums\n")
		right := hashOf(content)
		if _, err := u.putPart(ctx, n, content, claim{payload: right}); err != nil {
			return err
		}
		refuses := func(c claim) (bool, error) {
			_, err := u.putPart(ctx, n, content, c)
			return refused(err)
		}
		var p proof
		var err error
		if p.payload, err = refuses(claim{payload: hashOf(right)}); err != nil {
			return err
		}
		if !p.payload {
			bad := md5.Sum(right)
			if p.md5, err = refuses(claim{payload: right, md5: bad[:]}); err != nil {
				return err
			}
		}
		known.proof = p
		known.known.Store(true)
		u.s.notice("the store takes x-amz-checksum-sha256 for small objects only; those in parts are proved by " + p.String())
		return nil
	})
}
