package backends

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// TryObject is a [Trier]'s Try for a store of objects: prefix is that of its
// scratch that Clean knows, and remove deletes a key. That it cannot is no
// failure: a migration deletes nothing but what is its own.
func TryObject(ctx context.Context, s Store, prefix string, remove func(ctx context.Context, key string) error) (t Trial, err error) {
	key := prefix + strings.ToLower(rand.Text())
	content := []byte("regferry tries here whether it can write, list, read and delete\n")
	before := time.Now()
	_, err = s.Put(ctx, key, Content{Size: int64(len(content)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[offset:])), nil
	}})
	if err != nil {
		return t, err
	}
	t.Took = time.Since(before)
	o, err := readTrial(ctx, s, key, content)
	if !o.ModTime.IsZero() {
		t.Clock = ahead(o.ModTime, before, before.Add(t.Took))
	}
	ctx, cancel := Detached(ctx)
	defer cancel()
	t.Stays = remove(ctx, key)
	return t, err
}

// ahead is how far a time of a service, given in whole seconds, is from the
// span in which it was taken.
func ahead(at, from, to time.Time) time.Duration {
	switch {
	case at.Before(from.Truncate(time.Second)):
		return at.Sub(from).Round(time.Second)
	case at.After(to.Add(time.Second)):
		return at.Sub(to).Round(time.Second)
	}
	return 0
}

func readTrial(ctx context.Context, s Store, key string, content []byte) (o Object, err error) {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return o, err
	}
	got, err := io.ReadAll(io.LimitReader(b, 1<<10))
	if err = errors.Join(err, b.Close()); err != nil {
		return b.Object, err
	}
	if !bytes.Equal(got, content) {
		return b.Object, &Error{Op: "read", Key: key, Class: Corrupt, Err: fmt.Errorf("what was written came back as %.100q", got)}
	}
	for o, err := range s.List(ctx, key, "") {
		if err != nil {
			return b.Object, err
		}
		if o.Key == key {
			return o, nil
		}
	}
	return b.Object, nil // a listing may be behind: OpenStack Swift's is
}
