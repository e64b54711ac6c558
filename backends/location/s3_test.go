package location

import (
	"errors"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

func TestParseS3(t *testing.T) {
	for raw, want := range map[string]s3.Options{
		"s3://b":                          {Bucket: "b"},
		"s3://b/":                         {Bucket: "b", Prefix: "/"},
		"s3://b/root%20dir/x?region=eu-1": {Bucket: "b", Prefix: "/root dir/x", Region: "eu-1"},
		"s3://b?endpoint=http://h:1":      {Bucket: "b", Endpoint: "http://h:1", PathStyle: true},
		"s3://b?regionendpoint=h:1":       {Bucket: "b", Endpoint: "https://h:1", PathStyle: true},
		"s3://b?endpoint=h&secure=false":  {Bucket: "b", Endpoint: "http://h", PathStyle: true},
		"s3://b?endpoint=h&path_style=no": {},
		"s3://b?endpoint=h&path_style=0":  {Bucket: "b", Endpoint: "https://h"},
		"s3://b?forcepathstyle=true":      {Bucket: "b", PathStyle: true},
		"s3://b?encrypt=true&keyid=k":     {Bucket: "b", Encrypt: true, KeyID: "k"},
		"s3://b?storageclass=STANDARD_IA": {Bucket: "b", StorageClass: "STANDARD_IA"},
		"s3://b?storageclass=NONE":        {Bucket: "b"},
		"s3://b?profile=other":            {Bucket: "b", Profile: "other"},
		"s3://b?objectacl=private":        {Bucket: "b", ACL: "private"},
		"s3://b?chunksize=33554432":       {Bucket: "b", PartSize: 32 << 20},
		"s3://b?usedualstack=1&accelerate=1&usefipsendpoint=1&skipverify=1&v4auth=true": {Bucket: "b", DualStack: true, Accelerate: true, FIPS: true, SkipVerify: true},
	} {
		p, err := (Opener{}).parse(raw)
		if want.Bucket == "" {
			if err == nil {
				t.Errorf("%s is taken", raw)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got := p.place.(s3Bucket).Options
		got.Notice, want.Notice = nil, nil
		if got.Bucket != want.Bucket || got.Identity() != want.Identity() || got.PathStyle != want.PathStyle || got.Prefix != want.Prefix ||
			got.Endpoint != want.Endpoint || got.Region != want.Region || got.Encrypt != want.Encrypt || got.KeyID != want.KeyID ||
			got.StorageClass != want.StorageClass || got.Profile != want.Profile || got.ACL != want.ACL || got.PartSize != want.PartSize || got.DualStack != want.DualStack ||
			got.Accelerate != want.Accelerate || got.FIPS != want.FIPS || got.SkipVerify != want.SkipVerify {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
	}
}

func TestParseS3Refuses(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://":                 "a bucket comes after",
		"s3:///x":               "a bucket comes after",
		"s3://host:9000/b":      "option endpoint",
		"s3://AKIA:hunter2@b/x": "AWS_ACCESS_KEY_ID",
		"s3://b?accesskey=AKIA&secretkey=hunter2": "AWS_ACCESS_KEY_ID",
		"s3://b?secret=hunter2":                   "AWS_SECRET_ACCESS_KEY",
		"s3://b?endpoint=https://u:hunter2@h":     "nothing else",
		"s3://b?rootdirectory=/x":                 "path",
		"s3://b?bucket=c":                         "after s3://",
		"s3://b?chunksize=16MiB":                  "16777216",
		"s3://b?chunksize=1024":                   "5 MiB",
		"s3://b?secure=false":                     "https",
		"s3://b?v4auth=false":                     "version 2",
		"s3://b?storageclass=GLACIER":             "read",
		"s3://b?endpoint=h&regionendpoint=h":      "say the same",
		"s3://b?region=a&region=b":                "2 times",
		"s3://b#x":                                "nothing else",
		"s3://b?encrypt=perhaps":                  "neither true nor false",
		"s3://b/%zz?secretkey=hunter2":            "escape",
	} {
		_, err := (Opener{}).parse(raw)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "s3://bucket/rootdirectory") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
}

func TestApartS3(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		nested bool
	}{
		{"s3://b", "s3://b", true},
		{"s3://b/x/", "s3://b/x?region=eu-1", true},
		{"s3://b/x", "s3://c/x", false},
		{"s3://b/x", "s3://b/y", false},
		{"s3://b/x", "s3://b/xy", false},
		{"s3://b", "s3://b/new", false}, // a registry has only docker/ below its root
		{"s3://b", "s3://b/docker/registry", true},
		{"s3://b/.regferry/x", "s3://b", true},
		{"s3://b?endpoint=http://h:1", "s3://b?endpoint=http://H:1/", true},
		{"s3://b?endpoint=http://h:1", "s3://b?endpoint=http://h:2", false},
		{"s3://b?endpoint=http://h:1", "s3://b", false},
		{"/var/lib/registry", "s3://b", false},
	} {
		for range 2 {
			if err := CheckApart(c.a, c.b); errors.Is(err, ErrNested) != c.nested {
				t.Errorf("%s and %s: %v", c.a, c.b, err)
			}
			c.a, c.b = c.b, c.a
		}
	}
	if _, err := Path("s3://b"); !errors.Is(err, ErrNotVolume) {
		t.Errorf("Path: %v", err)
	}
}

func TestOpenS3(t *testing.T) {
	server := servers.VersityGW(t)
	server.Credentials(t)
	server.Bucket(t, "registry")
	raw := "s3://registry/root?region=us-east-1&path_style=true&endpoint=" + server.Endpoint
	dst, err := Opener{}.Destination(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	src, err := Opener{}.Source(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	id, err := Identity(raw)
	if err != nil || src.Location() != dst.Location() || id != src.Location() {
		t.Errorf("identity %q, locations %q and %q, error %v", id, src.Location(), dst.Location(), err)
	}
	if backends.PowersOf(dst).Cleaner == nil || backends.PowersOf(src).Cleaner != nil {
		t.Error("only a destination can be cleaned")
	}
	if _, err := (Opener{}).AsItIs(t.Context(), "s3://absent?endpoint="+server.Endpoint); !errors.Is(err, backends.Denied) {
		t.Errorf("a bucket that is not there: %v", err)
	}
}
