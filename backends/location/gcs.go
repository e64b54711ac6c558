package location

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/gcs"
)

// gcsBucket is a bucket, or a directory of one.
type gcsBucket struct{ gcs.Options }

func (b gcsBucket) source(ctx context.Context, o Opener) (backends.ReadStore, error) {
	b.Notice = o.Notice
	return gcs.OpenReader(ctx, b.Options)
}

func (b gcsBucket) destination(ctx context.Context, o Opener) (backends.Store, error) {
	b.Notice = o.Notice
	return gcs.Open(ctx, b.Options)
}

func (b gcsBucket) identity() (string, error) { return b.Identity(), nil }

// gcsSystem has the parameters of registry/storage/driver/gcs of 2.8.3 and 3.1.2.
var gcsSystem = system{
	driver: "gcs", scheme: "gs", bucket: "bucket", root: "rootdirectory", server: "endpoint", place: gcsPlace,
	params: map[string]param{
		"credentials": {group, secret}, "bucket": {text, inPath}, "rootdirectory": {text, inPath},
		"keyfile": {text, used}, "chunksize": {size, part},
		"maxconcurrency": {number, ignored}, "useragent": {text, ignored},
		"endpoint": {text, ours}, "anonymous": {flag, ours}, "userproject": {text, ours},
		"acl": {text, ours}, "kmskey": {text, ours}, "storageclass": {text, ours},
	},
	credentials: "credentials do not belong in a location, where they would be seen: set GOOGLE_APPLICATION_CREDENTIALS to the path of a key, or give that as keyfile=PATH",
	blank: map[string]string{
		"rootdirectory": nilRoot,
		"keyfile":       "it ends because there is no such file; leave the line out",
	},
	example: "write gs://bucket/rootdirectory or gs://bucket?keyfile=/etc/registry/key.json",
}

// nilRoot is for drivers that keep a root in a bucket.
const nilRoot = "its tree is below <nil>/; leave the line out for the top of the bucket, or write '<nil>' if the images are there"

func gcsPlace(p *params) (place, error) {
	o := gcs.Options{
		Bucket: p.text("bucket"), Prefix: p.text("rootdirectory"), KeyFile: p.text("keyfile"), PartSize: p.partSize("chunksize"),
		Endpoint: p.text("endpoint"), Anonymous: p.flag("anonymous", false), UserProject: p.text("userproject"),
		ACL: p.text("acl"), KMSKey: p.text("kmskey"), StorageClass: p.text("storageclass"),
	}
	if c := p.group("credentials"); len(c) > 0 && o.KeyFile == "" { // the registry looks at the file first
		key, err := json.Marshal(c)
		if err != nil {
			return nil, errors.New("credentials are the fields of a service account's JSON key, which are texts")
		}
		o.Credentials = key
	}
	return gcsBucket{o}, o.Check()
}

// encodedKey is Harbor's form of a key: its JSON in base64.
func encodedKey(text string) (map[string]any, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		key = []byte(text) // as the Secret has it, which is encoded once less
	}
	var m map[string]any
	if json.Unmarshal(key, &m) != nil || m["type"] == nil {
		return nil, errors.New("is no base64 of a JSON key of Google's")
	}
	return m, nil
}
