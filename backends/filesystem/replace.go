package filesystem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/regferry/regferry/backends"
)

// Get reads a small file. Its version is the SHA-256 of the content, which
// therefore has to count: a time of a file system is too coarse, and an inode's
// number is given again.
func (s *Store) Get(ctx context.Context, key string) ([]byte, string, error) {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return nil, "", err
	}
	content, err := backends.ReadSmall(b)
	if err != nil {
		return nil, "", fail("get", key, err)
	}
	return content, versionOf(content), nil
}

func versionOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// PutIf replaces a small file while it holds a lock on .regferry/lock, which all
// processes that do so wait for; where the file system has no locks it is
// Unsupported. nil means durable, in groups as well.
func (s *Store) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	if err := s.putIf(ctx, key, content, version); err != nil {
		return "", fail("replace", key, err)
	}
	return versionOf(content), nil
}

func (s *Store) putIf(ctx context.Context, key string, content []byte, version string) error {
	if err := backends.CheckSmall(ctx, content); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.queue.refuses(); err != nil {
		return err
	}
	if err := s.queue.placed(ctx, key); err != nil {
		return err
	}
	unlock, err := s.lockReplace(ctx)
	if errors.Is(err, errNoLocks) {
		err = backends.Refuse(backends.Unsupported, err.Error()+", without which nobody can replace a file on a condition")
	}
	if err != nil {
		return err
	}
	defer unlock()
	_, now, err := s.Get(ctx, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if now != version {
		return backends.Refuse(backends.Changed, "it is not the one that was read")
	}
	exists, err := s.parentExists(key)
	if err != nil {
		return err
	}
	it, err := s.stageFile(ctx, item{key: key, size: int64(len(content)), synced: true}, exists, backends.Content{
		Size: int64(len(content)),
		Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content[offset:])), nil
		},
	})
	if err != nil {
		return err
	}
	if e := s.place(it); e != nil {
		return e
	}
	return nil
}

// lockReplace waits for the lock, which is a file that goes with it, so that no
// side files stay.
func (s *Store) lockReplace(ctx context.Context) (unlock func(), err error) {
	for {
		f, err := s.scratch.dir.update(lockName, 0o600)
		if err != nil {
			return nil, err
		}
		if err = lock(f); err == nil && s.scratch.names(lockName, f) {
			return func() {
				s.scratch.dir.unlink(lockName)
				f.Close()
			}, nil
		}
		f.Close()
		if errors.Is(err, errNoLocks) {
			s.scratch.dir.unlink(lockName)
		}
		if err != nil && !errors.Is(err, errLocked) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
