package parts_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/parts"
)

// An ETag is an MD5 once one was seen to be, and is asked for three times at most.
func TestETags(t *testing.T) {
	sum := md5.Sum([]byte("content"))
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	for name, c := range map[string]struct {
		etag, content, stored string
		size                  int64
		plain                 bool
		err                   error
		known                 bool
		asked                 int // of four listings
	}{
		"it is one":               {etag: etag, content: "content", stored: etag, size: 7, plain: true, known: true, asked: 1},
		"it is another's":         {etag: etag, content: "contend", stored: etag, size: 7, plain: true, asked: 1},
		"it is encrypted":         {etag: etag, content: "content", stored: etag, size: 7, asked: 1},
		"an upload in parts":      {etag: etag[:33] + `-2"`, content: "content", size: 7, plain: true},
		"too large to ask for":    {etag: etag, content: "content", stored: etag, size: 4097, plain: true},
		"larger than it was said": {etag: etag, content: strings.Repeat("x", 4097), stored: etag, size: 7, plain: true, asked: 3},
		"it cannot be read":       {etag: etag, size: 7, err: errors.New("denied"), asked: 3},
	} {
		var e parts.ETags
		asked := 0
		for range 4 {
			got := e.MD5(c.etag, c.size, func() (parts.Tagged, error) {
				asked++
				return parts.Tagged{Body: io.NopCloser(strings.NewReader(c.content)), ETag: c.stored, Plain: c.plain}, c.err
			})
			if c.known != bytes.Equal(got, sum[:]) || !c.known && got != nil {
				t.Errorf("%s: %x", name, got)
			}
		}
		if asked != c.asked || c.known != (e.Known(etag) != nil) {
			t.Errorf("%s: asked %d times, then known: %x", name, asked, e.Known(etag))
		}
	}
}

// What a probe has learnt nobody asks for.
func TestETagsOfAProbe(t *testing.T) {
	sum := md5.Sum([]byte("probe"))
	etag := hex.EncodeToString(sum[:])
	for _, plain := range []bool{true, false} {
		var e parts.ETags
		if e.Known(etag) != nil {
			t.Error("the zero value knows something")
		}
		e.Learn([]byte("probe"), etag, plain)
		got := e.MD5(etag, 5, func() (parts.Tagged, error) { t.Error("it asks"); return parts.Tagged{}, io.EOF })
		if plain != (got != nil) || plain != (e.Known(etag) != nil) {
			t.Errorf("plain %v: %x", plain, got)
		}
	}
}
