package location

import (
	"context"
	"errors"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/s3"
)

// s3Bucket is a bucket, or a directory of one.
type s3Bucket struct {
	s3.Options
	classless bool // the storage class is NONE: requests have no word of it
	foreign   bool // the endpoint is that of the AWS configuration
}

func (b s3Bucket) source(ctx context.Context, o Opener) (backends.ReadStore, error) {
	b.Notice = o.Notice
	return s3.OpenReader(ctx, b.Options)
}

func (b s3Bucket) destination(ctx context.Context, o Opener) (backends.Store, error) {
	b.Notice = o.Notice
	return s3.Open(ctx, b.Options)
}

// configured has the endpoint that is asked, for a registry that does not look
// where it comes from.
func (b s3Bucket) configured(ctx context.Context) (place, error) {
	o, err := b.Configured(ctx)
	if err != nil {
		return nil, err
	}
	b.Options, b.foreign = o, b.Endpoint != o.Endpoint
	return b, nil
}

func (b s3Bucket) identity() (string, error) { return b.Identity(), nil }

// s3System has the parameters of the driver s3 or s3aws: configuration.md of
// distribution, and registry/storage/driver/s3-aws of 2.8.3 and 3.1.2.
var s3System = system{
	driver: "s3", scheme: "s3", bucket: "bucket", root: "rootdirectory", server: "endpoint", place: s3Place,
	params: map[string]param{
		"accesskey": {text, secret}, "secretkey": {text, secret},
		"bucket": {text, inPath}, "rootdirectory": {text, inPath},
		"region": {text, used}, "regionendpoint": {text, used}, "forcepathstyle": {flag, used},
		"secure": {flag, used}, "skipverify": {flag, used}, "v4auth": {flag, used},
		"encrypt": {flag, used}, "keyid": {text, used}, "storageclass": {text, used}, "objectacl": {text, used},
		"usedualstack": {flag, used}, "accelerate": {flag, used}, "usefipsendpoint": {flag, used},
		"chunksize": {size, part},
		"useragent": {text, ignored}, "loglevel": {loglevel, ignored}, "redirectendpoint": {text, ignored},
		"multipartcopychunksize": {size, ignored}, "multipartcopymaxconcurrency": {number, ignored}, "multipartcopythresholdsize": {size, ignored},
		"profile": {text, ours},
	},
	aliases:     map[string]string{"endpoint": "regionendpoint", "path_style": "forcepathstyle"},
	credentials: "credentials do not belong in a location, where they would be seen: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
	example:     "write s3://bucket/rootdirectory?region=eu-central-1 or s3://bucket?endpoint=https://minio.example.com:9000",
}

func s3Place(p *params) (place, error) {
	o := s3.Options{
		Bucket: p.text("bucket"), Prefix: p.text("rootdirectory"), Profile: p.text("profile"),
		Region: p.text("region"), Endpoint: p.text("regionendpoint"), SkipVerify: p.flag("skipverify", false),
		DualStack: p.flag("usedualstack", false), Accelerate: p.flag("accelerate", false), FIPS: p.flag("usefipsendpoint", false),
		Encrypt: p.flag("encrypt", false), KeyID: p.text("keyid"), ACL: p.text("objectacl"),
		StorageClass: p.text("storageclass"),
		PartSize:     p.partSize("chunksize"),
		AccessKeyID:  backends.Secret(p.text("accesskey")), SecretAccessKey: backends.Secret(p.text("secretkey")),
	}
	if (o.AccessKeyID == "") != (o.SecretAccessKey == "") {
		return nil, errors.New("accesskey and secretkey belong together, and only one of them is given; leave out both for a role of the machine")
	}
	if !p.isURL() {
		o.StorageClass = strings.ToUpper(o.StorageClass)
		o.OnlyAWS = o.Endpoint == ""
		if !o.Encrypt {
			o.KeyID = "" // the registry looks at it only then
		}
	}
	classless := o.StorageClass == "NONE" // the registry's word for none
	if classless {
		o.StorageClass = ""
	}
	if err := s3Endpoint(p, &o); err != nil {
		return nil, err
	}
	return s3Bucket{Options: o, classless: classless}, o.Check()
}

// s3Endpoint adds to an endpoint what the registry adds: its scheme, and the
// bucket in the path, as registry 2.8 has it and most servers need it.
func s3Endpoint(p *params, o *s3.Options) error {
	secure := p.flag("secure", true)
	if !p.flag("v4auth", true) {
		if p.isURL() {
			return errors.New("v4auth=false: signatures of version 2 prove nothing of the content, and are not made")
		}
		p.warn("%s is false; requests are signed with version 4 all the same", p.field("v4auth"))
		p.leave("v4auth")
	}
	o.PathStyle = p.flag("forcepathstyle", o.Endpoint != "")
	if o.Endpoint == "" {
		if !secure && p.isURL() {
			return errors.New("secure=false is for an endpoint of one's own; AWS is asked by https")
		}
		return nil
	}
	if !strings.Contains(o.Endpoint, "://") {
		o.Endpoint = map[bool]string{true: "https://", false: "http://"}[secure] + o.Endpoint
	}
	return nil
}
