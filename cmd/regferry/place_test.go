//go:build linux

package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// kind is where the storage of a registry is.
type kind string

const (
	directory kind = "directory"
	versitygw kind = "versitygw"
	minio     kind = "minio"
)

// place is one such storage, empty at first.
type place struct {
	location string   // as --from and --to have it
	config   string   // as servers.Registry has it
	env      []string // of that registry
	dir      string   // of the registry; behind versitygw that of its objects
	bucket   *bucket
	server   *servers.S3Server // of the bucket
}

// newPlaces makes two, in dir where they are directories. Services have the
// same keys, which are those of the environment.
func newPlaces(t *testing.T, dir string, from, to kind) (a, b place) {
	t.Helper()
	source, destination := filepath.Join(dir, "source"), filepath.Join(dir, "destination")
	if from == minio { // which takes the keys of another
		b = newPlace(t, destination, to, nil)
		return newPlace(t, source, from, b.server), b
	}
	a = newPlace(t, source, from, nil)
	return a, newPlace(t, destination, to, a.server)
}

// newPlace starts a service, MinIO with the keys of other, if there is one.
func newPlace(t *testing.T, dir string, k kind, other *servers.S3Server) place {
	t.Helper()
	if k == directory {
		return onDisk(dir)
	}
	var s *servers.S3Server
	switch {
	case k == versitygw:
		s = servers.VersityGW(t)
	case other != nil:
		s = servers.MinIOBeside(t, other)
	default:
		s = servers.MinIO(t)
	}
	s.Credentials(t)
	s.Bucket(t, "images")
	return inBucket(s, "images", "the/root")
}

func onDisk(dir string) place { return place{location: dir, config: dir, dir: dir} }

func inBucket(s *servers.S3Server, name, root string) place {
	return place{
		location: locationOf(s.Endpoint, name, root), config: servers.OnS3(s, name, root),
		dir: filepath.Join(s.Dir, name, root), bucket: &bucket{s.Client, name, root + "/"}, server: s,
	}
}

// locationOf is the location of a bucket of a service.
func locationOf(endpoint, name, root string) string {
	return "s3://" + name + "/" + root + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint) + "&path_style=true"
}

// newPlaceLike is a second place of the same kind, beside p: dir if it is a
// directory.
func newPlaceLike(p place, dir string) place {
	if p.bucket == nil {
		return onDisk(dir)
	}
	return inBucket(p.server, p.bucket.name, "another/root")
}

// fill makes a registry there.
func (p place) fill(t *testing.T, shape layouttest.Shape) *layouttest.Registry {
	t.Helper()
	made, err := p.made(t, shape)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (p place) made(t *testing.T, shape layouttest.Shape) (*layouttest.Registry, error) {
	if p.bucket == nil {
		return layouttest.WriteDir(p.dir, shape)
	}
	store, err := location.Opener{}.Destination(t.Context(), p.location)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	made, err := layouttest.Generate(shape, func(key string, size int64, open func() io.Reader) error {
		g.Go(func() error {
			_, err := store.Put(ctx, key, backends.Content{Size: size, Open: func(context.Context, int64) (io.ReadCloser, error) {
				return io.NopCloser(open()), nil
			}})
			return err
		})
		return ctx.Err()
	})
	return made, errors.Join(err, g.Wait())
}

// tree is what is there, but for unfinished uploads.
func (p place) tree(t *testing.T) map[string]file {
	t.Helper()
	if p.bucket == nil && p.dir == "" {
		return treeOfStore(t, p.location)
	}
	if p.bucket == nil {
		return tree(t, p.dir)
	}
	files, err := p.bucket.tree(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no registry", p.location)
	}
	return files
}

// view is a look at what is there, for an audit.
func (p place) view(t *testing.T) view {
	if p.bucket == nil {
		return &dirView{root: filepath.Join(p.dir, "docker/registry/v2")}
	}
	return &bucketView{bucket: p.bucket, t: t}
}

// bucket is a registry in one, read without the code that is tested.
type bucket struct {
	client *s3.Client
	name   string
	prefix string // ends in a slash
}

func (b *bucket) list(t *testing.T, below string) ([]types.Object, error) {
	var all []types.Object
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix + below)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			return nil, err
		}
		all = append(all, page.Contents...)
	}
	for i := range all {
		all[i].Key = aws.String(strings.TrimPrefix(*all[i].Key, b.prefix))
	}
	return all, nil
}

func (b *bucket) read(t *testing.T, key string, to io.Writer) error {
	out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	_, err = io.Copy(to, out.Body)
	return err
}

// tree reads all of it, several objects at a time, under names as those of a
// directory's tree.
func (b *bucket) tree(t *testing.T) (map[string]file, error) {
	objects, err := b.list(t, "docker/")
	if err != nil {
		return nil, err
	}
	sums := make([]string, len(objects))
	var g errgroup.Group
	g.SetLimit(8)
	for i, o := range objects {
		g.Go(func() error {
			h := sha256.New()
			err := b.read(t, *o.Key, h)
			sums[i] = hex.EncodeToString(h.Sum(nil))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	files := map[string]file{}
	for i, o := range objects {
		if !strings.Contains(*o.Key, "/_uploads/") {
			files[strings.TrimPrefix(*o.Key, "docker")] = file{sums[i], *o.LastModified}
		}
	}
	return files, nil
}

// leftovers are the uploads that nobody finished or aborted, and what the
// program keeps beside a registry.
func (p place) leftovers(t *testing.T) []string {
	t.Helper()
	if p.bucket == nil && p.dir == "" {
		return besideInStore(t, p.location)
	}
	if p.bucket == nil {
		left, _ := filepath.Glob(filepath.Join(p.dir, ".regferry"))
		return left
	}
	var left []string
	for _, u := range p.bucket.uploads(t) {
		left = append(left, "upload "+*u.Key)
	}
	objects, err := p.bucket.list(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if !strings.HasPrefix(*o.Key, "docker/") {
			left = append(left, *o.Key)
		}
	}
	return left
}

func (b *bucket) uploads(t *testing.T) []types.MultipartUpload {
	t.Helper()
	out, err := b.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &b.prefix})
	if err != nil {
		t.Fatal(err)
	}
	return out.Uploads
}

// bucketView judges by one listing, made after the tags were read: what a tag
// needs has to be there before it. An ETag is the MD5 of what is no upload in
// parts, so a link need not be read.
type bucketView struct {
	*bucket
	t       *testing.T
	objects map[string]types.Object
}

const repositories = "docker/registry/v2/repositories/"

func (v *bucketView) each(f func(tag, link string)) error {
	found, err := v.list(v.t, repositories)
	if err != nil {
		return err
	}
	links := map[string]string{}
	for _, o := range found {
		repository, rest, ok := strings.Cut(*o.Key, "/_manifests/tags/")
		if !ok {
			continue
		}
		tag, rest, _ := strings.Cut(rest, "/")
		name := strings.TrimPrefix(repository, repositories) + ":" + tag
		if rest != "current/link" {
			links[name] += "" // there is a tag, with a link or without
			continue
		}
		var b strings.Builder
		if err := v.read(v.t, *o.Key, &b); err != nil {
			return err
		}
		links[name] = b.String()
	}
	if found, err = v.list(v.t, "docker/registry/v2/"); err != nil {
		return err
	}
	v.objects = map[string]types.Object{}
	for _, o := range found {
		v.objects[strings.TrimPrefix(*o.Key, "docker/registry/v2/")] = o
	}
	for tag, link := range links {
		f(tag, link)
	}
	return nil
}

func (v *bucketView) size(key string) (int64, error) {
	o, ok := v.objects[key]
	if !ok {
		return 0, fmt.Errorf("%s is missing", key)
	}
	return *o.Size, nil
}

func (v *bucketView) holds(key, content string) error {
	sum := md5.Sum([]byte(content))
	o, ok := v.objects[key]
	if !ok || *o.ETag != `"`+hex.EncodeToString(sum[:])+`"` {
		return fmt.Errorf("%s is missing, or does not hold %s", key, content)
	}
	return nil
}

func (v *bucketView) copyTo(w io.Writer, key string) error {
	return v.read(v.t, "docker/registry/v2/"+key, w)
}
