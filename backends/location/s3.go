package location

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/s3"
)

// s3Bucket is a bucket, or a directory of one.
type s3Bucket struct{ o s3.Options }

// openWithin is for opening, which asks for credentials and probes the store.
const openWithin = 2 * time.Minute

func (b s3Bucket) source() (backends.ReadStore, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openWithin)
	defer cancel()
	return s3.OpenReader(ctx, b.o)
}

func (b s3Bucket) destination() (backends.Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openWithin)
	defer cancel()
	return s3.Open(ctx, b.o)
}

func (b s3Bucket) identity() (string, error) { return b.o.Identity(), nil }

// s3Options are the registry's, with names that are easier to guess beside
// them: configuration.md of distribution, storage driver s3.
var s3Options = []string{
	"region", "regionendpoint", "endpoint", "forcepathstyle", "path_style", "secure", "skipverify", "v4auth",
	"encrypt", "keyid", "storageclass", "objectacl", "usedualstack", "accelerate", "usefipsendpoint", "chunksize",
}

// s3Elsewhere are the registry's options that are not options here.
var s3Elsewhere = map[string]string{
	"accesskey": s3Secret, "secretkey": s3Secret, "sessiontoken": s3Secret,
	"bucket":        "the bucket comes after s3://",
	"rootdirectory": "the root directory is the path: s3://bucket/rootdirectory",
}

const s3Secret = "credentials do not belong in a location, where they would be seen: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"

func parseS3(raw string) (place, error) {
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil:
		return nil, errors.New(s3Secret)
	case u.Host == "" || u.Port() != "":
		return nil, errors.New("a bucket comes after s3://, and the address of a server into the option endpoint")
	case u.Fragment != "":
		return nil, errors.New("an s3 URL has a bucket, a path and options, nothing else")
	}
	for name, why := range s3Elsewhere {
		if u.Query().Has(name) {
			return nil, fmt.Errorf("%s: %s", name, why)
		}
	}
	q := s3Query{secure: true, o: s3.Options{Bucket: u.Host, Prefix: u.Path}}
	if err := options(u.RawQuery, s3Options, q.set); err != nil {
		return nil, err
	}
	if err := q.finish(); err != nil {
		return nil, err
	}
	return s3Bucket{q.o}, q.o.Check()
}

// s3Query is what the options say until all are read.
type s3Query struct {
	o            s3.Options
	secure       bool
	pathSaid     bool
	endpointSaid string
}

func (q *s3Query) set(name, value string) (err error) {
	switch name {
	case "region":
		q.o.Region = value
	case "regionendpoint", "endpoint":
		if q.endpointSaid != "" {
			return fmt.Errorf("%s and %s say the same", q.endpointSaid, name)
		}
		q.endpointSaid, q.o.Endpoint = name, value
	case "keyid":
		q.o.KeyID = value
	case "storageclass":
		q.o.StorageClass = strings.TrimPrefix(value, "NONE") // the registry's word for none
	case "objectacl":
		q.o.ACL = value
	case "chunksize":
		if q.o.PartSize, err = strconv.ParseInt(value, 10, 64); err != nil || q.o.PartSize <= 0 {
			return fmt.Errorf("chunksize=%s is no number of bytes such as 16777216", value)
		}
	default:
		return q.setFlag(name, value)
	}
	return nil
}

func (q *s3Query) setFlag(name, value string) error {
	v, err := yes(name, value)
	switch name {
	case "forcepathstyle", "path_style":
		q.o.PathStyle, q.pathSaid = v, true
	case "secure":
		q.secure = v
	case "skipverify":
		q.o.SkipVerify = v
	case "v4auth":
		if err == nil && !v {
			return errors.New("v4auth=false: signatures of version 2 prove nothing of the content, and are not made")
		}
	case "encrypt":
		q.o.Encrypt = v
	case "usedualstack":
		q.o.DualStack = v
	case "accelerate":
		q.o.Accelerate = v
	case "usefipsendpoint":
		q.o.FIPS = v
	}
	return err
}

// finish adds to an endpoint what the registry adds: its scheme, and the
// bucket in the path, as registry 2.8 has it and most servers need it.
func (q *s3Query) finish() error {
	if q.o.Endpoint == "" {
		if !q.secure {
			return errors.New("secure=false is for an endpoint of one's own; AWS is asked by https")
		}
		return nil
	}
	if !strings.Contains(q.o.Endpoint, "://") {
		scheme := map[bool]string{true: "https://", false: "http://"}[q.secure]
		q.o.Endpoint = scheme + q.o.Endpoint
	}
	if !q.pathSaid {
		q.o.PathStyle = true
	}
	return nil
}
