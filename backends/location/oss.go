package location

import (
	"context"
	"errors"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/oss"
)

// ossBucket is a bucket, or a directory of one.
type ossBucket struct{ oss.Options }

func (b ossBucket) source(ctx context.Context, o Opener) (backends.ReadStore, error) {
	b.Notice = o.Notice
	return oss.OpenReader(ctx, b.Options)
}

func (b ossBucket) destination(ctx context.Context, o Opener) (backends.Store, error) {
	b.Notice = o.Notice
	return oss.Open(ctx, b.Options)
}

func (b ossBucket) identity() (string, error) { return b.Identity(), nil }

// ossSystem has the parameters of registry/storage/driver/oss of 2.8.3, and
// encryptionkeyid, which only later builds have.
var ossSystem = system{
	driver: "oss", scheme: "oss", bucket: "bucket", root: "rootdirectory", server: "endpoint", place: ossPlace,
	params: map[string]param{
		"accesskeyid": {text, secret}, "accesskeysecret": {text, secret}, "bucket": {text, inPath}, "rootdirectory": {text, inPath},
		"region": {text, used}, "endpoint": {text, used}, "internal": {flag, used}, "secure": {flag, used},
		"encrypt": {flag, used}, "encryptionkeyid": {text, used}, "chunksize": {size, part},
		"cname": {flag, ours}, "skipverify": {flag, ours}, "signature": {text, ours}, "objectacl": {text, ours}, "storageclass": {text, ours},
	},
	aliases:     map[string]string{"keyid": "encryptionkeyid", "acl": "objectacl"},
	credentials: "credentials do not belong in a location, where they would be seen: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET",
	blank: map[string]string{
		"rootdirectory": nilRoot,
		"endpoint":      "it asks a host of that name; leave the line out",
		"region":        "it asks a host of that name; write the region",
	},
	example: "write oss://bucket/rootdirectory?region=cn-hangzhou or oss://bucket?region=cn-hangzhou&internal=true",
}

func ossPlace(p *params) (place, error) {
	o := oss.Options{
		Bucket: p.text("bucket"), Prefix: p.text("rootdirectory"), Region: p.text("region"), Endpoint: p.text("endpoint"),
		Internal: p.flag("internal", false), Insecure: !p.flag("secure", true), CNAME: p.flag("cname", false), SkipVerify: p.flag("skipverify", false),
		AccessKeyID: p.text("accesskeyid"), AccessKeySecret: backends.Secret(p.text("accesskeysecret")), Signature: p.text("signature"),
		Encrypt: p.flag("encrypt", false), EncryptionKeyID: p.text("encryptionkeyid"), ACL: p.text("objectacl"), StorageClass: p.text("storageclass"),
		PartSize: p.partSize("chunksize"),
	}
	if p.isURL() {
		return ossBucket{o}, o.Check()
	}
	o.CNAME = o.Endpoint != "" // the registry asks each endpoint as that of the bucket itself
	if !o.Encrypt {
		o.EncryptionKeyID = "" // the registry looks at it only then
	}
	for _, name := range []string{"accesskeyid", "accesskeysecret"} { // nothing of it from the environment: that may be the other side's
		if !p.has(name) {
			return nil, errors.New(name + " is missing")
		}
	}
	return ossBucket{o}, o.Check()
}
