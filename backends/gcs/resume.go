package gcs

import (
	"context"
	"encoding/json"

	"github.com/regferry/regferry/backends"
)

// maxToken is far beyond the address of a session, which has the object's
// name in it.
const maxToken = 16 << 10

// token is what a later process needs to go on. It is a secret: with the
// session's address anybody can write this one object.
type token struct {
	Session string `json:"session"`
	CRC     uint32 `json:"crc32c"` // of the bytes up to the offset
	Part    int64  `json:"part"`   // bytes
}

// String is the form in which a checkpoint keeps it.
func (t token) String() string {
	b, _ := json.Marshal(t) // of strings and numbers
	return string(b)
}

// resume goes on with the session that an earlier run left, or returns nil:
// then the content is sent from its start.
//
// The state of the source's hash is known at From.Offset, so the content is
// read from there. Where the service has more, that is not sent again; where it
// has less, there is nothing to go on with.
func (s *Store) resume(ctx context.Context, key string, c backends.Content) (*upload, error) {
	from := c.From
	if from.Token == "" || len(from.Token) > maxToken || from.Offset <= 0 || from.Offset >= c.Size {
		return nil, nil
	}
	var t token
	if json.Unmarshal([]byte(from.Token), &t) != nil ||
		t.Part < chunkUnit || t.Part > maxPart || t.Part%chunkUnit != 0 || from.Offset%t.Part != 0 {
		return nil, nil
	}
	uri, err := s.o.sessionAt(t.Session, s.name(key))
	if err != nil {
		return nil, nil
	}
	var p progress
	err = retry(ctx, func() (err error) {
		p, err = s.status(ctx, uri, c.Size)
		return err
	})
	if err != nil {
		return nil, resumeFailure(err)
	}
	if p.done != nil { // used up, and who knows what was written since
		return nil, nil
	}
	if p.persisted < from.Offset || p.persisted > c.Size {
		s.cancel(ctx, uri)
		return nil, nil
	}
	u := s.newUpload(key, c, t.Part)
	u.Token, u.Start, u.crc, u.have = uri, int(from.Offset/t.Part), t.CRC, p.persisted
	return u, nil
}

// resumeFailure takes each refusal for a session that is gone: 404, 410, and
// 499 where it was cancelled. What may pass by itself stays an error, so that
// an outage does not cost what is durable; a wrong key does not, either.
func resumeFailure(err error) error {
	if again(err) || classOf(err) == backends.Denied || statusOf(err) == 0 {
		return err
	}
	return nil
}
