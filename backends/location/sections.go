package location

import (
	"cmp"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/s3"
)

func (v volume) section(to platform) (*section, error) {
	dir, err := filepath.Abs(v.dir)
	if err != nil {
		return nil, err
	}
	s := &section{driver: "filesystem"}
	switch to.name {
	case "msr":
		s.note("the volume that is at %s here has to be that of MSR's claim", backends.Printable(dir))
	case "harbor":
		s.set("rootdirectory", "/storage")
		s.note("the volume that is at %s here is mounted at /storage by Harbor", backends.Printable(dir))
	default:
		s.set("rootdirectory", dir)
		s.note("rootdirectory is the path that the registry sees, which in a container may be another than %s", backends.Printable(dir))
	}
	return s, nil
}

// rooted is a rootdirectory as the registry's examples have it.
func rooted(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return "/" + prefix
}

var (
	classes2 = []string{"", "STANDARD", "REDUCED_REDUNDANCY"}
	classes3 = append(slices.Clone(classes2), "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "OUTPOSTS", "GLACIER_IR", "EXPRESS_ONEZONE")
)

func (b s3Bucket) section(to platform) (*section, error) {
	s := &section{driver: "s3", secrets: []string{"accesskey", "secretkey"}}
	region := b.Region
	if region == "" && b.Endpoint == "" {
		return nil, errors.New("the registry has to know the region: add ?region=eu-central-1")
	}
	if region == "" {
		region = "us-east-1" // only a part of the signature there
	}
	if b.foreign {
		s.note("the endpoint %s is that of the AWS configuration of this machine (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 or a profile), where no registry looks: it is in regionendpoint", b.Endpoint)
	}
	if err := b.addressed(s, to); err != nil {
		return nil, err
	}
	s.set("region", region)
	s.set("bucket", b.Bucket)
	s.set("regionendpoint", b.Endpoint)
	if strings.HasPrefix(b.Endpoint, "http://") {
		s.fields = append(s.fields, field("secure", false)...)
	}
	s.set("rootdirectory", rooted(b.Prefix))
	s.set("v4auth", to.name == "msr") // MSR's documentation has it for AWS, and the driver's default is the same
	if b.SkipVerify && to.chart && !strings.HasPrefix(b.Endpoint, "http://") {
		s.set("secure", true) // the chart passes skipverify on only beside it: goharbor/harbor#18868
	}
	s.set("skipverify", b.SkipVerify)
	s.set("encrypt", b.Encrypt)
	s.set("keyid", b.KeyID)
	if b.ACL != "" && to.chart {
		s.note("Harbor's chart does not pass on objectacl: %s", b.ACL)
	} else {
		s.set("objectacl", b.ACL)
	}
	classes := classes2
	if to.three {
		classes = classes3
	}
	switch {
	case b.classless:
		s.set("storageclass", "NONE")
	case slices.Contains(classes, b.StorageClass):
		s.set("storageclass", b.StorageClass)
	default:
		s.note("this registry does not know the storage class %s: it reads what is stored so, and writes STANDARD", b.StorageClass)
	}
	b.reached(s, to)
	return s, nil
}

// addressed gives the address of AWS to a registry that does not know the
// region: it ends with "invalid region provided" where it has to look it up.
func (b *s3Bucket) addressed(s *section, to platform) error {
	regions := regions2
	if to.three {
		regions = regions3
	}
	if b.Endpoint != "" || slices.Contains(regions, b.Region) {
		return nil
	}
	address, err := s3.AddressOf(b.Region)
	if err != nil {
		return err
	}
	s.note("this registry knows no region %s, and would not start; with regionendpoint, which is the address of AWS there, it does not ask for it", b.Region)
	if b.DualStack || b.Accelerate || b.FIPS {
		s.note("usedualstack, accelerate and usefipsendpoint are left out: they do not go with a regionendpoint")
	}
	b.Endpoint, b.DualStack, b.Accelerate, b.FIPS = address, false, false, false
	b.PathStyle = b.PathStyle || !to.three // where AWS takes it, too
	return nil
}

// reached is how requests find the bucket, which registry 3 changed.
func (b s3Bucket) reached(s *section, to platform) {
	if to.three {
		s.set("forcepathstyle", b.PathStyle)
		s.set("usedualstack", b.DualStack)
		s.set("accelerate", b.Accelerate)
		s.set("usefipsendpoint", b.FIPS)
		return
	}
	if b.Endpoint != "" && !b.PathStyle {
		s.note("registry 2.8 always has the bucket in the path where regionendpoint is set, so the server must take it there")
	}
	if b.Endpoint == "" && (b.PathStyle || b.DualStack || b.Accelerate || b.FIPS) {
		s.note("registry 2.8 has no forcepathstyle, usedualstack, accelerate and usefipsendpoint: it reaches the bucket by its ordinary address")
	}
}

func field(name string, value any) (f []yamlItem) { return []yamlItem{{Key: name, Value: value}} }

func (b gcsBucket) section(to platform) (*section, error) {
	s := &section{driver: "gcs"}
	if b.Anonymous {
		return nil, errors.New("no registry reads without credentials: leave anonymous out")
	}
	s.set("bucket", b.Bucket)
	s.set("rootdirectory", rooted(b.Prefix))
	switch {
	case to.chart:
		s.secrets = []string{"credentials"}
		s.note("with workload identity, put useWorkloadIdentity: true instead of existingSecret")
	case b.KeyFile != "":
		s.set("keyfile", b.KeyFile)
		s.note("keyfile is a path that the registry sees; the key is not here")
	case len(b.Credentials) > 0:
		s.set("keyfile", "/etc/registry/gcs-key.json")
		s.note("the key is not here: put its JSON where keyfile says")
	default:
		s.note("without keyfile the registry uses the service account of its machine, or GOOGLE_APPLICATION_CREDENTIALS")
	}
	if b.Endpoint != "" {
		s.note("no registry has a parameter for the endpoint %s: it is taken from STORAGE_EMULATOR_HOST of the environment", b.Endpoint)
	}
	return s, nil
}

func (c swiftContainer) section(to platform) (*section, error) {
	switch {
	case to.three:
		return nil, errNoDriver("Swift", "swift")
	case c.ApplicationCredentialID != "" || c.ApplicationCredentialName != "":
		return nil, errApplicationCredential
	}
	s := &section{driver: "swift", secrets: []string{"password"}}
	at := c.Versioned() // the registry's client refuses an address in which it finds no version
	for _, f := range []struct{ name, value string }{
		{"authurl", at.AuthURL}, {"username", c.Username}, {"container", c.Container}, {"prefix", strings.Trim(c.Prefix, "/")},
		{"region", c.Region}, {"tenant", c.Tenant}, {"tenantid", c.TenantID}, {"domain", c.Domain}, {"domainid", c.DomainID},
		{"trustid", c.TrustID}, {"endpointtype", c.EndpointType},
	} {
		s.set(f.name, f.value)
	}
	if to.chart && (c.TenantDomain != "" || c.TenantDomainID != "") {
		s.note("Harbor's chart does not pass on tenantdomain and tenantdomainid: the project has to be in the user's domain")
	} else {
		s.set("tenantdomain", c.TenantDomain)
		s.set("tenantdomainid", c.TenantDomainID)
	}
	s.set("authversion", at.AuthVersion)
	s.set("insecureskipverify", c.InsecureSkipVerify)
	if c.CABundle != "" {
		s.note("the registry trusts the certificates of its system only: add those of %s there", backends.Printable(c.CABundle))
	}
	return s, nil
}

func (b ossBucket) section(to platform) (*section, error) {
	if to.three {
		return nil, errNoDriver("Alibaba OSS", "oss")
	}
	at, err := b.endpoint()
	if err != nil {
		return nil, err
	}
	s := &section{driver: "oss", secrets: []string{"accesskeyid", "accesskeysecret"}}
	s.set("region", "oss-"+at.region)
	s.set("bucket", b.Bucket)
	s.set("endpoint", at.host)
	b.Internal, b.Insecure = at.internal, at.insecure
	s.set("internal", b.Internal)
	s.set("rootdirectory", rooted(b.Prefix))
	s.set("encrypt", b.Encrypt)
	if b.Insecure {
		s.fields = append(s.fields, field("secure", false)...)
	}
	if b.Insecure && to.chart {
		s.note("Harbor's chart passes secure on only where it is true, so its registry asks by https all the same: the endpoint has to answer there")
	}
	if b.EncryptionKeyID != "" {
		s.note("registry 2.8.3 has no encryptionkeyid: what it writes is encrypted with OSS's own key")
	}
	if b.SkipVerify {
		s.note("the registry's driver has no skipverify: its system has to trust the certificate")
	}
	return s, nil
}

// ossEndpoint is an endpoint as the registry has it: the region's, or a host
// that is the bucket's own.
type ossEndpoint struct {
	region, host       string
	internal, insecure bool
}

func (b ossBucket) endpoint() (ossEndpoint, error) {
	at := ossEndpoint{region: strings.TrimPrefix(b.Region, "oss-"), internal: b.Internal, insecure: b.Insecure}
	scheme, host, isURL := strings.Cut(b.Endpoint, "://")
	if !isURL {
		host = b.Endpoint
	} else {
		at.insecure = scheme == "http"
	}
	host = strings.TrimSuffix(host, "/")
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	service, isService := strings.CutPrefix(strings.TrimSuffix(strings.TrimPrefix(name, b.Bucket+"."), ".aliyuncs.com"), "oss-")
	switch {
	case host == "":
	case isService && strings.HasSuffix(name, ".aliyuncs.com"):
		at.region = cmp.Or(at.region, strings.TrimSuffix(service, "-internal"))
		at.internal = strings.HasSuffix(service, "-internal")
	case b.CNAME || strings.HasPrefix(name, b.Bucket+"."):
		at.host = host
	case net.ParseIP(name) != nil:
		return at, errors.New("the registry asks an endpoint as that of the bucket itself, which an address cannot be: name a host")
	default:
		at.host = b.Bucket + "." + host
	}
	if at.region == "" {
		return at, errors.New("the registry has to know the region: add ?region=cn-hangzhou")
	}
	return at, nil
}
