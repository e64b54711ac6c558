package filesystem_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/regferry/regferry/backends/filesystem"
)

// slow gives 100 kB a second.
type slow struct{ io.ReadCloser }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.ReadCloser.Read(p[:min(len(p), 100_000)])
}

// A slow upload is saved by time as well: a run that is killed every minute
// would else begin it anew each time.
func TestSlowUploadIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := filesystem.Open(t.TempDir(), filesystem.Options{Fsync: filesystem.FsyncEach})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := &layer{data: random(3 * mib)} // 32 s
		c := l.content()
		open := c.Open
		c.Open = func(ctx context.Context, off int64) (io.ReadCloser, error) {
			r, err := open(ctx, off)
			return slow{r}, err
		}
		if _, err := s.Put(t.Context(), "a/blob", c); err != nil {
			t.Fatal(err)
		}
		if n := len(l.saved); n < 2 || n > 7 {
			t.Errorf("saved %d times in half a minute, want some: %v", n, l.saved)
		}
	})
}
