package azure

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// upload is an object that is sent in blocks.
type upload struct {
	*parts.Sender
	s   *Store
	key string
	sum hash.Hash // MD5 of what was read from byte 0 on; nil where it was not

	tokenSize int // characters of the token that it gets when it begins
}

// blockID names block n of an upload. All names of a blob have one length, or
// the service refuses them.
func blockID(token string, n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d", token, n))
}

// ownToken is the characters of a token, unless blocks of another program want
// another length. minToken of them have 30 bits at random, and names of blocks
// have at most 64 bytes.
const (
	ownToken = 26
	minToken = 6
	maxToken = 64 - len("-00000")
)

// token is of what rand.Text makes.
var token = regexp.MustCompile(fmt.Sprintf(`^[A-Z2-7]{%d,%d}$`, minToken, maxToken))

func newToken(size int) string {
	text := rand.Text()
	for len(text) < size {
		text += rand.Text()
	}
	return text[:size]
}

// partSize makes 50,000 blocks suffice.
func (o *Options) partSize(size int64) int64 {
	const mib = 1 << 20
	least := (size + maxBlocks - 1) / maxBlocks
	if least <= o.PartSize {
		return o.PartSize
	}
	return (least + mib - 1) / mib * mib
}

// putBlocks begins again where another process committed blocks of the same
// blob, or put it, and so dropped these; once where a blob of another type is in
// the way, which takes no blocks; and once where another program has left blocks
// whose names have another length.
func (s *Store) putBlocks(ctx context.Context, key string, c backends.Content) error {
	leave, err := s.enter(ctx, key)
	if err != nil {
		return err
	}
	defer leave()
	tokenSize := ownToken
	for try := 0; ; try++ {
		u, err := s.resume(ctx, key, c)
		if err == nil {
			u.tokenSize = tokenSize
			err = u.send(ctx)
		}
		switch {
		case try < 3 && bloberror.HasCode(err, bloberror.InvalidBlockList):
		case try < 3 && bloberror.HasCode(err, bloberror.InvalidBlobType):
			if err := s.makeWay(ctx, key, c); err != nil {
				return err
			}
		case try < 3 && bloberror.HasCode(err, bloberror.InvalidBlobOrBlock):
			size, e := s.tokenBeside(ctx, key)
			if e != nil || size == 0 || size == tokenSize {
				return err
			}
			tokenSize = size
		default:
			return err
		}
		c.From = backends.Upload{}
	}
}

// tokenBeside is the size of a token with which names of blocks are as long as
// those that are there already, 0 where there are none, or too short ones.
func (s *Store) tokenBeside(ctx context.Context, key string) (int, error) {
	sizes, err := s.durableBlocks(ctx, key)
	for name := range sizes { // one tells of all
		raw, err := base64.StdEncoding.DecodeString(name)
		size := len(raw) - len("-00000")
		if err != nil || size < minToken || size > maxToken {
			return 0, err
		}
		return size, nil
	}
	return 0, err
}

// makeWay removes a blob that takes no blocks, once the content was read to its
// end and its source says that it is right: the key holds nothing until the
// blocks are committed, and what is there may be the only good copy.
func (s *Store) makeWay(ctx context.Context, key string, c backends.Content) error {
	seen, err := s.other(ctx, key)
	if err != nil || seen == nil {
		return err
	}
	if err := s.judge(ctx, c); err != nil {
		return err
	}
	return s.removeSeen(ctx, key, seen)
}

// judge reads a content for the source's verdict alone.
func (s *Store) judge(ctx context.Context, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, min(c.Size, s.o.PartSize))
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	in, err := parts.OpenInput(ctx, c, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	for left := c.Size; left > 0; left -= int64(len(buf.B)) {
		buf.B = buf.B[:min(left, int64(len(buf.B)))]
		if err := in.Fill(ctx, buf.B); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	u := &upload{s: s, key: key}
	u.Sender = &parts.Sender{
		Content: c, Part: part, Parallel: s.o.Parallel, Buffers: s.buffers,
		Begin: func(context.Context) (string, error) { return newToken(u.tokenSize), nil },
		Send:  u.sendBlock,
	}
	u.Content.Open = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		r, err := c.Open(ctx, offset)
		if err != nil || offset != 0 {
			return r, err
		}
		u.sum = md5.New()
		return summing(r, u.sum), nil
	}
	return u
}

func (u *upload) send(ctx context.Context) error {
	if err := u.Run(ctx); err != nil {
		return err
	}
	return u.commit(ctx)
}

func (u *upload) sendBlock(ctx context.Context, n int, b []byte) error {
	_, err := u.s.client.NewBlockBlobClient(u.s.root+u.key).StageBlock(ctx, blockID(u.Token, n), body(b),
		&blockblob.StageBlockOptions{TransactionalValidation: u.s.claim(b)})
	return err
}

// commit makes the blob of its blocks. Repeated after it worked, it works: the
// blocks are found among those that are committed.
func (u *upload) commit(ctx context.Context) error {
	ids := make([]string, parts.Parts(u.Content.Size, u.Part))
	for n := range ids {
		ids[n] = blockID(u.Token, n)
	}
	var sum []byte
	if u.sum != nil {
		sum = u.sum.Sum(nil)
	}
	_, err := u.s.client.NewBlockBlobClient(u.s.root+u.key).CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{HTTPHeaders: headers(sum)})
	return err
}

// resume is the upload that an earlier run left, or a new one.
func (s *Store) resume(ctx context.Context, key string, c backends.Content) (*upload, error) {
	from := c.From
	anew := s.newUpload(key, c, s.o.partSize(c.Size))
	if !token.MatchString(from.Token) || from.Offset <= 0 || from.Offset > c.Size {
		return anew, nil
	}
	sizes, err := s.durableBlocks(ctx, key)
	if err != nil {
		return nil, err
	}
	if u := s.continued(key, c, sizes); u != nil {
		return u, nil
	}
	return anew, nil
}

// continued is the upload at From.Offset, if that is where a block ends and
// each block before it has its size. Those behind are sent again: the state of
// the hash is known at the offset only.
func (s *Store) continued(key string, c backends.Content, sizes map[string]int64) *upload {
	from := c.From
	size := sizes[blockID(from.Token, 0)]
	all := from.Offset == c.Size
	if size <= 0 || parts.Parts(c.Size, size) > maxBlocks || size > max(s.o.Memory, s.o.PartSize) || !all && from.Offset%size != 0 {
		return nil
	}
	n := parts.Parts(from.Offset, size)
	for i := range n {
		if sizes[blockID(from.Token, i)] != min(size, c.Size-int64(i)*size) {
			return nil
		}
	}
	u := s.newUpload(key, c, size)
	u.Token, u.Start = from.Token, n
	return u
}

// durableBlocks are the sizes of those that are not committed. It is one
// request: the service lists them all, at most 100,000.
func (s *Store) durableBlocks(ctx context.Context, key string) (map[string]int64, error) {
	out, err := s.client.NewBlockBlobClient(s.root+key).GetBlockList(ctx, blockblob.BlockListTypeUncommitted, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.InvalidBlobType) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(out.UncommittedBlocks))
	for _, b := range out.UncommittedBlocks {
		if b.Name != nil && b.Size != nil {
			sizes[*b.Name] = *b.Size
		}
	}
	return sizes, nil
}

// summing feeds a hash with what is read, and keeps the state of the reader's
// own hash to be had.
func summing(r io.ReadCloser, sum hash.Hash) io.ReadCloser {
	return &summed{ReadCloser: r, sum: sum}
}

type summed struct {
	io.ReadCloser
	sum hash.Hash
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

// MarshalBinary gives the state of the source's hash, if it has one.
func (s *summed) MarshalBinary() ([]byte, error) {
	if m, ok := s.ReadCloser.(encoding.BinaryMarshaler); ok {
		return m.MarshalBinary()
	}
	return nil, errors.ErrUnsupported
}
