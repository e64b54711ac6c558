package location

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/gcs"
	"github.com/regferry/regferry/backends/oss"
	"github.com/regferry/regferry/backends/s3"
	"github.com/regferry/regferry/backends/swift"
)

// hermetic has no variables.
var hermetic = Opener{Environ: []string{}}

// s3OfFile is a bucket as a file names it: AWS unless it has an endpoint.
func s3OfFile(o s3.Options) s3Bucket {
	o.OnlyAWS = o.Endpoint == ""
	return s3Bucket{Options: o}
}

func written(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Parameters of registries, as their sources have them: registry/storage/driver
// of 2.8.3 and 3.1.2.
var registryParams = map[string]string{
	"filesystem": "rootdirectory maxthreads",
	"s3": "accesskey secretkey region regionendpoint bucket encrypt keyid secure skipverify v4auth chunksize multipartcopychunksize multipartcopymaxconcurrency " +
		"multipartcopythresholdsize rootdirectory storageclass useragent objectacl forcepathstyle usedualstack accelerate usefipsendpoint loglevel redirectendpoint",
	"azure": "accountname accountkey container realm credentials connectionstring rootdirectory serviceurl max_retries retry_delay skipverify",
	"gcs":   "bucket keyfile credentials rootdirectory chunksize maxconcurrency useragent",
	"swift": "username password authurl tenant tenantid domain domainid tenantdomain tenantdomainid trustid region authversion container prefix endpointtype " +
		"insecureskipverify chunksize secretkey accesskey tempurlcontainerkey tempurlmethods",
	"oss": "accesskeyid accesskeysecret region bucket internal encrypt secure chunksize rootdirectory endpoint encryptionkeyid",
}

func TestEveryParameterIsKnown(t *testing.T) {
	for driver, names := range registryParams {
		s := systemOf(driver)
		if driver == "filesystem" {
			s = &filesystemSystem
		}
		for name := range strings.FieldsSeq(names) {
			if def, known := s.params[name]; !known || def.use >= ours {
				t.Errorf("%s.%s is not known", driver, name)
			}
		}
	}
}

func TestDistribution(t *testing.T) {
	bare(t)
	for _, c := range []struct {
		text string
		want place
		env  []string
	}{
		{"version: 0.1\nstorage: {filesystem: {rootdirectory: /r, maxthreads: 100}}", volume{dir: "/r"}, nil},
		{"version: 0.1\nstorage: filesystem", volume{dir: "/var/lib/registry"}, nil},
		{"version: 0.1\nstorage:\n  filesystem:\n  delete: {enabled: true}", volume{dir: "/var/lib/registry"}, nil},
		{"storage: {s3: {bucket: b, region: r, accesskey: k, secretkey: s}}", s3OfFile(s3.Options{Bucket: "b", Region: "r", AccessKeyID: "k", SecretAccessKey: "s"}), nil},
		{"storage: {s3aws: {bucket: b, region: r, rootdirectory: /x, chunksize: '10485760', keyid: k}}", s3OfFile(s3.Options{Bucket: "b", Region: "r", Prefix: "/x"}), nil},
		{"storage: {s3: {bucket: b, region: r, regionendpoint: 'h:1', secure: false, v4auth: 'true', storageclass: none}}", s3Bucket{Options: s3.Options{Bucket: "b", Region: "r", Endpoint: "http://h:1", PathStyle: true}, classless: true}, nil},
		{"storage: {s3: {bucket: b, region: r, regionendpoint: 'https://h', forcepathstyle: false, loglevel: off, encrypt: true, keyid: k}}", s3OfFile(s3.Options{Bucket: "b", Region: "r", Endpoint: "https://h", Encrypt: true, KeyID: "k"}), nil},
		{"storage: {s3: {bucket: b, accesskey: '${K}', secretkey: 's'}}", s3OfFile(s3.Options{Bucket: "b", AccessKeyID: "${K}", SecretAccessKey: "s"}), nil},
		{"storage: {s3: {bucket: 0123, region: 12345678901234567}}", s3OfFile(s3.Options{Bucket: "83", Region: "12345678901234567"}), nil}, // YAML 1.1
		{"storage: {azure: {accountname: acc, accountkey: a2V5, container: con, rootdirectory: /x}}", azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"}, nil},
		{"storage: {gcs: {bucket: b, rootdirectory: '<nil>'}}", gcsBucket{gcs.Options{Bucket: "b", Prefix: "<nil>"}}, nil},
		{"storage:\n  s3:\n    bucket: b\n    rootdirectory:", s3OfFile(s3.Options{Bucket: "b"}), nil},
		{"storage: {azure: {accountname: acc, accountkey: a2V5, container: con, realm: r.de}}", azureContainer{azure.Options{Account: "acc", Container: "con", Realm: "r.de", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"}, nil},
		{"storage: {azure: {AccountName: acc, accountkey: a2V5, container: con, credentials: {type: shared_key}, rootdirectory: /x, max_retries: 5, retry_delay: 100ms}}", azureContainer{azure.Options{Account: "acc", Container: "con", Prefix: "/x", Credentials: azure.Credentials{Key: "a2V5"}}, "3"}, nil},
		{"storage: {azure: {accountname: acc, container: con, credentials: {type: client_secret, tenantid: t, clientid: c, secret: s}}}", azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{TenantID: "t", ClientID: "c", ClientSecret: "s"}}, "3"}, nil},
		{"storage: {azure: {accountname: acc, container: con, credentials: {type: default_credentials}, serviceurl: 'https://h/acc'}}", azureContainer{azure.Options{Account: "acc", Container: "con", ServiceURL: "https://h/acc"}, "3"}, nil},
		{"storage: {gcs: {bucket: b, keyfile: /k, rootdirectory: /x, chunksize: 5242880, maxconcurrency: 50}}", gcsBucket{gcs.Options{Bucket: "b", KeyFile: "/k", Prefix: "/x"}}, nil},
		{"storage: {gcs: {bucket: b, credentials: {type: service_account, private_key: k}}}", gcsBucket{gcs.Options{Bucket: "b", Credentials: gcs.Credentials(`{"private_key":"k","type":"service_account"}`)}}, nil},
		{"storage: {swift: {Username: u, password: p, authURL: 'https://k/v3', container: C, tenant: 123, prefix: x, authversion: 3, insecureskipverify: true, tempurlmethods: [GET]}}", swiftContainer{swift.Options{Username: "u", Password: "p", AuthURL: "https://k/v3", Container: "C", Tenant: "123", Prefix: "x", AuthVersion: 3, InsecureSkipVerify: true}}, nil},
		{"storage: {oss: {accesskeyid: i, accesskeysecret: s, region: oss-cn-x, bucket: bkt, internal: true, secure: false}}", ossBucket{oss.Options{Bucket: "bkt", Region: "oss-cn-x", AccessKeyID: "i", AccessKeySecret: "s", Internal: true, Insecure: true}}, nil},
		{"a: &k {bucket: b, region: r}\nstorage:\n  s3:\n    <<: *k\n    region: over", s3OfFile(s3.Options{Bucket: "b", Region: "over"}), nil},
		{"# nothing\n---\n---\nversion: 0.1\nstorage: {s3: {bucket: b, region: r}}\n...\n", s3OfFile(s3.Options{Bucket: "b", Region: "r"}), nil},

		// The environment.
		{"storage: {s3: {bucket: b, region: r}}", s3OfFile(s3.Options{Bucket: "c", Region: "r"}), []string{"REGISTRY_STORAGE_S3_BUCKET=c", "REGISTRY_LOG_LEVEL=debug", "REGISTRY_STORAGES3=x", "OTHER=1"}},
		{"storage: {s3: {bucket: b, region: r}}", s3OfFile(s3.Options{Bucket: "b", Region: "r", AccessKeyID: "k", SecretAccessKey: "s=t"}), []string{"REGISTRY_STORAGE_S3_SECRETKEY=s=t", "REGISTRY_STORAGE_S3_ACCESSKEY=k"}},
		{"storage: {filesystem: {rootdirectory: /r}}", volume{dir: "/var/lib/registry"}, []string{"REGISTRY_STORAGE=filesystem"}},
		{"storage: {filesystem: {rootdirectory: /r}}", s3OfFile(s3.Options{Bucket: "b", Region: "r"}), []string{"REGISTRY_STORAGE_S3_REGION=r", "REGISTRY_STORAGE_S3_BUCKET=b", "REGISTRY_STORAGE=s3"}},
		{"storage: {filesystem: {rootdirectory: /r}}", s3OfFile(s3.Options{Bucket: "b", Region: "q"}), []string{"REGISTRY_STORAGE={s3: {bucket: b, region: r}}", "REGISTRY_STORAGE_S3_REGION=q"}},
		{"storage: {s3: {bucket: b, region: r}}", s3OfFile(s3.Options{Bucket: "nn"}), []string{"REGISTRY_STORAGE_S3={bucket: nn}"}},
		{"storage:\n  s3:\n", s3OfFile(s3.Options{Bucket: "b"}), []string{"REGISTRY_STORAGE_S3_BUCKET=b"}},
		{"storage: {s3: {bucket: b, region: r, regionendpoint: h}}", s3OfFile(s3.Options{Bucket: "b", Region: "r", Endpoint: "http://h", PathStyle: true}), []string{"REGISTRY_STORAGE_S3_SECURE=false"}},
		{"storage: {azure: {accountname: acc, container: con}}", azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{TenantID: "t", ClientID: "c", ClientSecret: "s"}}, "3"}, []string{"REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE=client_secret", "REGISTRY_STORAGE_AZURE_CREDENTIALS_TENANTID=t", "REGISTRY_STORAGE_AZURE_CREDENTIALS_CLIENTID=c", "REGISTRY_STORAGE_AZURE_CREDENTIALS_SECRET=s", "REGISTRY_STORAGE_AZURE_MAX_RETRIES=3"}},
		// What is meant for the other side's driver.
		{"storage: {filesystem: {rootdirectory: /r}}", volume{dir: "/r"}, []string{"REGISTRY_STORAGE_S3_SECRETKEY=s", "REGISTRY_STORAGE_S3_ACCESSKEY=k", "REGISTRY_STORAGE_GCS={bucket: b}"}},
		{"storage: {s3: {bucket: b, region: r}}", s3OfFile(s3.Options{Bucket: "b", Region: "r"}), []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/x"}},
		{"storage: {s3: {bucket: b, region: r}}", volume{dir: "/x"}, []string{"REGISTRY_STORAGE=filesystem", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/x", "REGISTRY_STORAGE_S3_SECRETKEY=s"}},
		// A mapping of the file's own cannot be overridden in the registry.
		{"storage: {azure: {accountname: acc, accountkey: a2V5, container: con, credentials: {type: shared_key}}}", azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "3"}, []string{"REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE=default_credentials"}},
	} {
		got, err := Opener{Environ: append([]string{}, c.env...)}.parse(written(t, c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if plain(got.place) != plain(c.want) {
			t.Errorf("%s %v:\n%s, want\n%s", c.text, c.env, plain(got.place), plain(c.want))
		}
		if got.facts.Kind != kindDistribution {
			t.Errorf("%s: %+v", c.text, got.facts)
		}
	}
}

func TestDistributionRefuses(t *testing.T) {
	bare(t)
	deep := strings.Repeat("a: {", 20_000)
	for text, want := range map[string]string{
		"":            "it is empty",
		"just a text": "no mapping",
		"version: 0.2\nstorage: {s3: {bucket: b}}":   "version is not 0.1",
		"version: 0.1\nstorage:\n  cache: {}":        "storage has no driver",
		"storage: []":                                "storage is a list and not a mapping",
		"storage: {s3: x}":                           "storage.s3 is a text and not a mapping",
		"storage: {s33: {}}":                         "did you mean s3?",
		"storage: {filesytem: {}}":                   "did you mean filesystem?",
		"storage: {inmemory: {}}":                    "storage.inmemory keeps nothing",
		"storage: {s3: {bucket: b}, azure: {}}":      "the drivers azure and s3",
		"storage: {s3: {bucket: b}, maintenance: x}": "storage.maintenance is a text",
		"storage: {s3: {bucket: b}, maintenance: {readonly: {enabled: hunter2}}}": "storage.maintenance.readonly.enabled is a text and neither true nor false",
		"storage: {s3: {buckt: b}}":                                                                   "storage.s3.buckt is no parameter of s3, did you mean bucket?",
		"storage: {s3: {Bucket: b}}":                                                                  "did you mean bucket?",
		"storage: {s3: {bucket: b, secert: hunter2}}":                                                 "storage.s3.secert is no parameter",
		"storage: {s3: {bucket: [hunter2]}}":                                                          "storage.s3.bucket is a list and not a text",
		"storage: {s3: {bucket: b, region: no}}":                                                      "storage.s3.region is true or false and not a text",
		"storage: {s3: {bucket: b, accesskey: 1.5}}":                                                  "put it into quotes",
		"storage: {s3: {bucket: b, secure: hunter2}}":                                                 "storage.s3.secure is neither true nor false",
		"storage: {s3: {bucket: b, chunksize: hunter2}}":                                              "storage.s3.chunksize is no number of bytes",
		"storage: {s3: {bucket: b, profile: x}}":                                                      "storage.s3.profile is no parameter",
		"storage: {s3: {bucket: b, accesskey: hunter2}}":                                              "belong together",
		"storage: {s3: {region: r}}":                                                                  "no bucket is named",
		"storage: {azure: {accountname: acc, container: con}}":                                        "accountkey is missing",
		"storage: {azure: {accountname: acc, container: con, credentials: {type: hunter2}}}":          "credentials.type is client_secret",
		"storage: {azure: {accountname: acc, container: con, credentials: {tpye: client_secret}}}":    "storage.azure.credentials.tpye is no parameter of azure's credentials, did you mean type?",
		"storage: {azure: {accountname: acc, container: con, credentials: {type: client_secret}}}":    "need tenantid",
		"storage: {azure: {accountname: acc, AccountName: acc, container: con, accountkey: hunter2}}": "say the same",
		"storage: {gcs: {bucket: b, credentials: hunter2}}":                                           "storage.gcs.credentials is a text and not a mapping",
		"storage: {gcs: {bucket: b, credentials: {a: {b: hunter2}}}}":                                 "fields of a service account's JSON key",
		"storage: {swift: {username: u, authurl: 'https://k', container: c}}":                         "password is missing",
		"storage: {swift: {tempurlmethods: {a: b}}}":                                                  "storage.swift.tempurlmethods is a mapping and not a list",
		"storage: {oss: {accesskeyid: i, region: r, bucket: bkt}}":                                    "accesskeysecret is missing",
		"storage: {s3: {bucket: b}}\n---\nregistry: {storage: {backend: s3}}":                         "names two storages (registry configuration and MSR values)",
		"storage: {s3: {bucket: b}}\nregistry: {storage: {backend: s3}}":                              "could be two things (registry configuration and MSR values)",
		"storge: {s3: {bucket: b}}":                                                                   "did you mean storage?",
		"version: 0.1\nhttp:\n  storage: {s3: {bucket: b}}":                                           "there is a http.storage",
		"storage:\n\ts3: hunter2":                                                                     "line 2: a value begins with",
		"storage: {s3: {bucket: b}":                                                                   "line 1",
		"storage:\n  s3:\n    secretkey: @hunter2":                                                    "put the value into quotes",
		"storage:\n  s3:\n    secretkey: *hunter2":                                                    "which is an alias",
		"storage:\n  s3:\n    secretkey: !!int hunter2":                                               "not what its tag says",
		"storage:\n  s3:\n    secretkey: 'hunter2":                                                    "quote is not closed",
		"storage:\n  s3:\n   bucket: b\n  bucket: hunter2\n bucket: x":                                "line 4: the indentation is wrong",
		"storage:\n  s3:\n    bucket: a\n    bucket: hunter2":                                         "line 4: a key is there twice",
		"storage:\n  {{- if .Values.s3 }}\n  s3: {}":                                                  "template of a chart",
		"storage: {s3: {bucket: \"a\\nb\"}}":                                                          "line break",
		deep:                                                                                          "nested so deeply",
		"storage: &a {s3: *a}":                                                                        "an alias contains itself",
		strings.Repeat("---\na: b\n", 1001):                                                           "more than 1000 documents",
		"a: " + strings.Repeat("x", maxFile):                                                          "more than 4 MiB",
		bomb():                                                                                        "so many aliases",
		"? {a: hunter2}\n: x":                                                                         "no YAML",
		"\x00":                                                                                        "no YAML",
		"storage: {s3: {bucket: b, region: r, rootdirectory: /../x}}":                                 "storage.s3: the root directory",
	} {
		raw := written(t, text)
		_, err := hermetic.parse(raw)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), raw) {
			t.Errorf("%.200s:\n%.500v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 1000) {
			t.Errorf("%.200s: a secret is shown: %.2000v", text, err)
		}
	}
}

// bomb is a thousand million elements.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return b.String()
}

func TestEnvironmentRefuses(t *testing.T) {
	bare(t)
	raw := written(t, "storage: {s3: {bucket: b, region: r}}")
	for env, want := range map[string]string{
		"REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY=/x": "storage.filesytem is no driver and no other part of storage, did you mean filesystem?",
		"REGISTRY_STORAGE_S3=hunter2":                 "REGISTRY_STORAGE_S3 is a text",
		"REGISTRY_STORAGE=[hunter2]":                  "REGISTRY_STORAGE is a list",
		"REGISTRY_STORAGE_S3_SECRETKEY=@hunter2":      "REGISTRY_STORAGE_S3_SECRETKEY is no YAML",
		"REGISTRY_STORAGE_S3_BUKET=b":                 "storage.s3.buket is no parameter of s3, did you mean bucket?",
		"REGISTRY_STORAGE_S3_REGION=[hunter2]":        "storage.s3.region is a list",
		"REGISTRY_STORAGE_=hunter2":                   "REGISTRY_STORAGE_ is a text",
	} {
		_, err := Opener{Environ: []string{env}}.parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", env, err, want)
		}
	}
	t.Setenv("REGISTRY_STORAGE_S3_BUCKET", "of-process")
	if id, err := Identity(raw); err != nil || id != "s3://of-process" {
		t.Errorf("%q, %v", id, err)
	}
}

func TestFacts(t *testing.T) {
	raw := written(t, "storage: {s3aws: {bucket: b, region: r, v4auth: false, chunksize: 6000000, useragent: x, accesskey: '${A}', secretkey: b}, redirect: {disable: true}, delete: {enabled: true}, maintenance: {readonly: {enabled: true}, uploadpurging: {enabled: false, age: 168h}}, cache: {blobdescriptor: redis}, tag: {concurrencylimit: 5}}")
	f, err := Opener{Environ: []string{"REGISTRY_STORAGE_S3AWS_REGION=q"}}.Facts(raw)
	if err != nil {
		t.Fatal(err)
	}
	if f.Driver != "s3" || !f.ReadOnly || !f.RedirectDisable || !f.DeleteEnabled || f.UploadPurging || len(f.Warnings) != 3 ||
		!slices.Equal(f.Ignored, []string{"storage.s3aws.chunksize", "storage.s3aws.useragent", "storage.s3aws.v4auth"}) || !slices.Equal(f.Overrides, []string{"REGISTRY_STORAGE_S3AWS_REGION"}) {
		t.Errorf("%+v", f)
	}
	if f, err := hermetic.Facts("s3://b"); err != nil || f.Kind != "" {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := hermetic.Facts(written(t, "storage: filesystem")); err != nil || f.ReadOnly || !f.UploadPurging {
		t.Errorf("%+v, %v", f, err)
	}
}

// Variables for a driver that the file does not have are named, and warned of.
func TestVariablesOfAnotherDriver(t *testing.T) {
	bare(t)
	f, err := Opener{Environ: []string{"REGISTRY_STORAGE_S3_SECRETKEY=hunter2"}}.Facts(written(t, "storage: {filesystem: {rootdirectory: /r}}"))
	if err != nil || len(f.Overrides) != 0 || len(f.Warnings) != 1 || !strings.HasSuffix(f.Warnings[0], "a registry from starting: REGISTRY_STORAGE_S3_SECRETKEY") {
		t.Errorf("%+v, %v", f, err)
	}
}

// Roots that a registry makes of what looks like none are refused with what it
// makes: registry/storage/driver of 2.8.3 and 3.1.2 (fmt.Sprint of nil in gcs,
// oss and filesystem; path.Join in filesystem; prefix + "/files" in swift).
func TestRootsOfTheRegistry(t *testing.T) {
	bare(t)
	ossBase := "storage:\n  oss:\n    accesskeyid: i\n    accesskeysecret: hunter2\n    bucket: bkt\n    region: cn-x\n"
	swiftBase := "authurl: 'https://k/v3', username: u, password: hunter2, container: c, tenant: t"
	for _, c := range []struct {
		text string
		env  []string
		want string
	}{
		{"storage:\n  gcs:\n    bucket: b\n    rootdirectory:\n", nil, "storage.gcs.rootdirectory has no value, in the file or in its variable, and the registry makes the text <nil> of that: its tree is below <nil>/; leave the line out"},
		{"storage: {gcs: {bucket: b}}", []string{"REGISTRY_STORAGE_GCS_ROOTDIRECTORY="}, "its tree is below <nil>/"},
		{"storage:\n  gcs:\n    bucket: b\n    keyfile: ~\n", nil, "there is no such file"},
		{ossBase + "    rootdirectory:\n", nil, "storage.oss.rootdirectory has no value"},
		{ossBase + "    endpoint:\n", nil, "it asks a host of that name"},
		{"storage:\n  filesystem:\n    rootdirectory:\n", nil, "in a directory <nil> below the one it was started in"},
		{"storage: filesystem", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="}, "in a directory <nil>"},
		{"storage: {filesystem: {rootdirectory: ''}}", nil, "the registry's tree is at /docker, at the top of its file system: write /"},
		{"storage: {swift: {prefix: registry/, " + swiftBase + "}}", nil, "storage.swift.prefix ends in a slash, so the registry's tree is at registry//files"},
		{values("{backend: swift, swift: {prefix: /a/b//, " + swiftBase + "}}"), nil, "the registry's tree is at a/b//files"},
		{"storage:\n  azure:\n    accountname: acc\n    accountkey: a2V5\n    container: con\n    realm:\n", nil, "storage.azure.realm has no value, and registry 2.8 makes the text <nil>"},
		{chart("{filesystem: {rootdirectory: ''}}"), nil, "leave the line out for /storage"},
		{chart("{filesystem: {rootdirectory: }}"), nil, "leave the line out for /storage"},
	} {
		_, err := Opener{Environ: append([]string{}, c.env...)}.parse(written(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s %q: %v, want %q", c.text, c.env, err, c.want)
		}
	}
	for _, text := range []string{ // which the registries read as nothing, or the chart leaves out
		"storage: {swift: {prefix: /, " + swiftBase + "}}",
		"storage: {azure: {accountname: acc, accountkey: a2V5, container: con, credentials: {type: shared_key}, realm: ~, rootdirectory: ~}}",
		"storage: {azure: {accountname: acc, accountkey: a2V5, container: con, realm: ''}}",
		"storage: {gcs: {bucket: b, rootdirectory: ''}}",
		values("{backend: gcs, gcs: {bucket: b, rootdirectory: }}"),
		chart("{type: gcs, gcs: {bucket: b, rootdirectory: }}"),
	} {
		if _, err := hermetic.parse(written(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A registry of version 2.8 has no root directory in Azure, so none is used.
func TestAzureRootOf28(t *testing.T) {
	bare(t)
	raw := written(t, "storage: {azure: {accountname: acc, accountkey: a2V5, container: con, rootdirectory: /x}}")
	f, err := hermetic.Facts(raw)
	if err != nil || len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "at the top of the container") {
		t.Errorf("%+v, %v", f, err)
	}
	if id, err := hermetic.Identity(raw); err != nil || strings.Contains(id, "/x") {
		t.Errorf("%q, %v", id, err)
	}
}

// What ends like a file is one, unless it is a directory.
func TestWhatIsAFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("dir.yaml", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("plain", []byte("storage: {filesystem: {rootdirectory: /r}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"dir.yaml": "dir.yaml", "gone.yaml/": "gone.yaml/", "config:plain": "/r", "plain": "plain", "config.d": "config.d",
		"config://x": "", "gone.yml": "", "GONE.YAML": "", "config:gone": "", "config:": "", "config:dir.yaml": "",
	} {
		got, err := hermetic.Path(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
	// A file that is not there is no empty store, and makes no directory.
	if _, err := hermetic.AsItIs(t.Context(), "gone.yaml"); err == nil {
		t.Error("gone.yaml is taken for empty")
	}
	if _, err := hermetic.Destination(t.Context(), "gone.yaml"); err == nil {
		t.Error("gone.yaml is made")
	}
	if err := hermetic.CheckApart("config:plain", hermetic, "/r/docker"); !errors.Is(err, ErrNested) || !strings.Contains(err.Error(), "config:plain") {
		t.Errorf("%v", err)
	}
	for _, raw := range []string{"plain", "s3://b", written(t, "storage: {s3: {bucket: b}}")} {
		if _, err := (Opener{Mount: "/mnt"}).Identity(raw); err == nil || !strings.Contains(err.Error(), "--from-mount") {
			t.Errorf("%s with a mount: %v", raw, err)
		}
	}
	if id, err := (Opener{Mount: "/mnt"}).Identity("config:plain"); id != "/mnt" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"storage: {s3: {bucket: b, region: r}}", "registry: {storage: {backend: s3, s3: {bucket: b}}}", "a: &a [*a]", "? {}\n: x", "storage:\n  filesystem:\n", "---\n...\n",
		"persistence: {imageChartStorage: {type: gcs, gcs: {bucket: b, encodedkey: e30=}}}", "apiVersion: msr.mirantis.com/v1\nkind: MSR\nspec: {registry: {storage: {}}}",
		"storage: {azure: {accountname: a, credentials: {1: 2}}}", "<<: [1]\nstorage: s3", "storage: {swift: {AuthURL: x, authurl: y}}",
	} {
		f.Add(text, "REGISTRY_STORAGE_S3_BUCKET=x")
	}
	f.Add("storage: s3", "REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE=x")
	f.Fuzz(func(t *testing.T, text, variable string) {
		if len(text) > maxFile {
			return
		}
		p, err := Opener{Environ: []string{variable, "REGISTRY_STORAGE_S3_SECRETKEY=hunter2"}}.parseText([]byte(text))
		if (err == nil) == (p.place == nil) {
			t.Fatalf("%v and %v", p.place, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, p, p), "hunter2") && !strings.Contains(text+variable, "hunter2") {
			t.Errorf("a secret shows: %v %+v", err, p)
		}
		if err != nil {
			return
		}
		if _, err := p.identity(); err != nil {
			t.Error(err)
		}
		for _, to := range platforms {
			if s, err := p.section(to); err == nil {
				if _, err := to.write(s, false); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
