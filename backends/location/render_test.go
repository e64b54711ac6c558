package location

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// given are the secrets that rendered configurations refer to, as variables of
// a registry and as a directory of Secrets.
var given = map[string]string{
	"REGISTRY_STORAGE_S3_ACCESSKEY": "k", "REGISTRY_STORAGE_S3_SECRETKEY": "s", "REGISTRY_STORAGE_AZURE_ACCOUNTKEY": "a2V5",
	"REGISTRY_STORAGE_SWIFT_PASSWORD": "p", "REGISTRY_STORAGE_OSS_ACCESSKEYID": "i", "REGISTRY_STORAGE_OSS_ACCESSKEYSECRET": "s",
	"AZURE_STORAGE_ACCESS_KEY": "a2V5", "GCS_KEY_DATA": googleKey,
}

// What is rendered is read again, and names the same place.
func TestConfigRoundTrip(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	secrets := t.TempDir()
	for key, value := range given {
		if err := os.WriteFile(filepath.Join(secrets, key), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"distribution", "distribution-v2", "msr", "harbor"}
	for raw, on := range map[string][]string{
		"/mnt/nfs/registry":                       all,
		"/mnt/odd: name # with 'all' - of \"it\"": all,
		"s3://bkt?region=eu-central-1":            all,
		"s3://bkt/a/b%20c?region=r&endpoint=http://h:9000&encrypt=true&keyid=k&storageclass=REDUCED_REDUNDANCY&objectacl=private&skipverify=true": all,
		"s3://bkt?endpoint=https://h&path_style=false&storageclass=STANDARD_IA":                                                                   all,
		"s3://0123?region=no&accelerate=true":                                    all,
		"azblob://con?accountname=acc":                                           all,
		"azblob://con?accountname=acc&realm=blob.core.chinacloudapi.cn":          all,
		"azblob://con/root/x?accountname=acc&registry_version=3.1":               {"distribution"},
		"azblob://con?accountname=acc&registry_version=2.8":                      all[1:],
		"azblob://con?accountname=acc&root=slash":                                all[1:],
		"azblob://con?accountname=acc&serviceurl=http://h:1/acc&skipverify=true": {"distribution"},
		"gs://bkt/root":            all,
		"gs://bkt?keyfile=/k.json": all,
		"swift://con/pre/fix?authurl=https://k/v3&username=u&tenant=0123&domain=D&region=R&authversion=3&endpointtype=internal&skipverify=1": all[1:],
		"oss://bkt/root?region=cn-hangzhou&internal=true&encrypt=true":                                                                       all[1:],
		"oss://bkt?endpoint=http://oss-cn-x-internal.aliyuncs.com":                                                                           all[1:],
	} {
		want, err := Identity(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		for _, name := range all {
			var b bytes.Buffer
			err := Opener{}.Config(t.Context(), &b, raw, name)
			if !slices.Contains(on, name) {
				if err == nil || b.Len() > 0 {
					t.Errorf("%s for %s is taken", raw, name)
				}
				continue
			}
			if err != nil {
				t.Error(err)
				continue
			}
			o := Opener{Environ: []string{}}
			if name == "msr" || name == "harbor" {
				o.Secrets = secrets
			} else {
				for key, value := range given {
					if strings.Contains(b.String(), key) {
						o.Environ = append(o.Environ, key+"="+value)
					}
				}
			}
			if strings.HasPrefix(raw, "/") {
				o.Mount = raw
			}
			text := strings.ReplaceAll(b.String(), "${AZURE_ACCOUNTKEY}", "a2V5") // the operator's part
			again := written(t, text)
			got, err := o.Identity(again)
			// The root of azure is not in a configuration but in the kind of registry.
			if got = strings.TrimSuffix(got, "&root=slash"); err != nil || got != strings.TrimSuffix(want, "&root=slash") {
				t.Errorf("%s for %s: %q, %v, want %q\n%s", raw, name, got, err, want, b.String())
			}
			// And once more from there, as a registry's file is a location, too.
			b.Reset()
			if err := o.Config(t.Context(), &b, again, name); err != nil {
				t.Errorf("%s for %s, again: %v", raw, name, err)
			}
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	for _, c := range []struct{ raw, platform, want string }{
		{"/x", "distributon", "did you mean distribution?"},
		{"", "msr", "empty"},
		{"swift://c?authurl=https://k/v3&username=u&tenant=t", "distribution", "registry 3 has no driver for Swift: stay on 2.8"},
		{"oss://bkt?region=cn-x", "distribution", "registry 3 has no driver for Alibaba OSS"},
		{"azblob://con?accountname=acc&registry_version=2.8", "distribution", "migrate into an empty container with registry_version=3"},
		{"azblob://con?accountname=acc&root=plain", "distribution-v2", "migrate into an empty container with registry_version=2.8"},
		{"azblob://con?accountname=acc&registry_version=v3.0.0", "msr", "registry_version=2.8"},
		{"azblob://con/x?accountname=acc", "harbor", "no rootdirectory"},
		{"azblob://con?serviceurl=http://h:1/acc&accountname=acc", "distribution-v2", "no serviceurl"},
		{"azblob://con?serviceurl=http://h:1/acc", "distribution", "accountname=myaccount"},
		{"s3://b", "distribution", "region=eu-central-1"},
		{"oss://bkt?endpoint=http://h&signature=v1", "msr", "region=cn-hangzhou"},
		{"swift://c?authurl=https://k/v3&username=u&tenant=t&applicationcredentialid=x", "msr", "secret"},
		{"gs://bkt?endpoint=http://h:1&anonymous=1", "harbor", "anonymous"},
	} {
		var b bytes.Buffer
		err := Opener{}.Config(t.Context(), &b, c.raw, c.platform)
		if err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("%s for %s: %v, want %q", c.raw, c.platform, err, c.want)
		}
	}
}

// What an operator must not miss is in each configuration.
func TestSteps(t *testing.T) {
	for name, wants := range map[string][]string{
		"distribution":    {"readonly", "uploadpurging", "garbage-collect", "--final", "regferry verify", "forcepathstyle: true"},
		"distribution-v2": {"readonly", "uploadpurging", "garbage-collect", "regionendpoint"},
		"msr":             {"Never", "Back up the metadata", "readOnlyRegistry", "--storage-migrated", "never with --reinitialize-storage", "onlinegc_blobs", "below spec"},
		"harbor":          {"Read Only", "Back up the database", "existingSecret: " + secretName, "kubectl create secret generic"},
	} {
		var b bytes.Buffer
		if err := (Opener{}).Config(t.Context(), &b, "s3://bkt?endpoint=http://h", name); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "#", "")), " ")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, b.String())
			}
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 130 {
				t.Errorf("a long line: %s", line)
			}
		}
	}
	if !slices.Equal(Platforms(), []string{"distribution", "distribution-v2", "msr", "harbor"}) {
		t.Error(Platforms())
	}
}

// An application of Azure's can be rendered for registry 3 only with all of it
// in the environment, since that ignores variables for a mapping of the file.
func TestConfigClientSecret(t *testing.T) {
	bare(t)
	from := written(t, "storage: {azure: {accountname: acc, container: con, credentials: {type: client_secret, tenantid: t, clientid: c, secret: marked}}}")
	var b bytes.Buffer
	if err := hermetic.Config(t.Context(), &b, from, "distribution"); err != nil {
		t.Fatal(err)
	}
	o := Opener{Environ: []string{"REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE=client_secret"}}
	for _, name := range []string{"TENANTID", "CLIENTID", "SECRET"} {
		variable := "REGISTRY_STORAGE_AZURE_CREDENTIALS_" + name
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), variable) {
			t.Errorf("%s is not named:\n%s", variable, b.String())
		}
		o.Environ = append(o.Environ, variable+"=x")
	}
	p, err := o.parse(written(t, b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if c := p.place.(azureContainer); c.Credentials.Kind() != "client secret" || c.Registry != "3" {
		t.Errorf("%+v", c)
	}
}

// A registry's file of one kind becomes that of another.
func TestConfigFromFiles(t *testing.T) {
	bare(t)
	for text, want := range map[string]string{
		values("{backend: s3, s3: {region: r, bucket: b, accesskey: marked, secretkey: marked}}"):                                        "bucket: b",
		chart("{type: gcs, gcs: {bucket: b, encodedkey: " + base64.StdEncoding.EncodeToString([]byte(googleKey)) + "}}"):                 "keyfile: /etc/registry/gcs-key.json",
		chart("{type: s3, s3: {region: r, bucket: b, accesskey: marked, secretkey: marked, regionendpoint: 'https://h'}}"):               "forcepathstyle: true",
		"storage: {azure: {accountname: acc, container: con, credentials: {type: shared_key}, accountkey: bWFya2Vk, rootdirectory: /x}}": "rootdirectory: /x",
		"storage: {gcs: {bucket: b, rootdirectory: x, credentials: {type: service_account, private_key: marked}}}":                       "rootdirectory: /x",
	} {
		var b bytes.Buffer
		if err := hermetic.Config(t.Context(), &b, written(t, text), "distribution"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "marked") || strings.Contains(b.String(), "bWFya2Vk") {
			t.Errorf("%s:\n%s", text, b.String())
		}
	}
}

// What a registry needs said, and how it is said to each.
func TestConfigSays(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	const swiftAt = "swift://c?username=u&tenant=t&authurl="
	const noRegion = "knows no region eu-south-2"
	for _, c := range []struct {
		raw, platform string // raw is a location, or the text of a file
		wants, nots   []string
	}{
		{"s3://b?region=eu-west-1", "msr", []string{"v4auth: true"}, []string{"regionendpoint"}},
		{"s3://b?region=eu-west-1", "harbor", nil, []string{"v4auth", "secure", noRegion}},

		// A client of 2018, and one of 2024.
		{"s3://b?region=eu-south-2", "distribution-v2", []string{noRegion, "regionendpoint: https://s3.eu-south-2.amazonaws.com\n"}, []string{"has the bucket in the path"}},
		{"s3://b?region=eu-south-2", "msr", []string{"regionendpoint: https://s3.eu-south-2.amazonaws.com\n"}, nil},
		{"s3://b?region=eu-south-2", "distribution", nil, []string{"regionendpoint"}},
		{"s3://b?region=cn-south-9", "distribution", []string{"regionendpoint: https://s3.cn-south-9.amazonaws.com.cn\n"}, []string{"forcepathstyle"}},
		{"s3://b?region=mx-central-1&usedualstack=1", "distribution", []string{"regionendpoint: https://s3.mx-central-1.amazonaws.com\n", "are left out"}, []string{"usedualstack: true"}},
		{"s3://b?region=mx-central-1&endpoint=https://h", "distribution", []string{"regionendpoint: https://h\n"}, []string{"knows no region"}},

		{"s3://b?endpoint=https://h&skipverify=1", "harbor", []string{"secure: true\n      skipverify: true"}, nil},
		{"s3://b?region=eu-west-1&skipverify=1", "harbor", []string{"secure: true\n      skipverify: true"}, nil},
		{"s3://b?endpoint=http://h&skipverify=1", "harbor", []string{"secure: false"}, []string{"secure: true"}},
		{"s3://b?endpoint=https://h&skipverify=1", "msr", []string{"skipverify: true"}, []string{"secure: true"}},
		{"oss://bkt?region=cn-x&secure=false", "harbor", []string{"Harbor's chart passes secure on only where it is true"}, nil},
		{"oss://bkt?region=cn-x&secure=false", "msr", []string{"secure: false"}, []string{"Harbor"}},

		// ncw/swift takes the version from the address, and adds none to it.
		{swiftAt + "https://k:5000", "msr", []string{"authurl: https://k:5000/v3\n", "authversion: 3"}, nil},
		{swiftAt + "https://k/identity/", "harbor", []string{"authurl: https://k/identity/v3\n", "authversion: 3"}, nil},
		{swiftAt + "https://k/v2.0", "distribution-v2", []string{"authurl: https://k/v2.0\n", "authversion: 2"}, nil},
		{swiftAt + "https://k/keystone", "distribution-v2", []string{"authurl: https://k/keystone\n", "authversion: 3"}, nil},
		{swiftAt + "https://k/auth/v1.0", "distribution-v2", []string{"authversion: 1"}, nil},

		// What the file says comes out again.
		{"storage: {s3: {bucket: b, region: eu-west-1, storageclass: none}}", "distribution", []string{"storageclass: NONE"}, nil},
		{"storage: {s3: {bucket: b, region: eu-west-1}}", "distribution", nil, []string{"storageclass", "not carried over"}},
		{"s3://b?region=eu-west-1&storageclass=NONE", "msr", []string{"storageclass: NONE"}, nil},
		{"storage: {azure: {accountname: acc, container: con, credentials: {type: default_credentials}}}", "distribution", []string{"type: default_credentials"}, []string{"shared_key", "ACCOUNTKEY"}},
		{"storage: {azure: {accountname: acc, container: con, credentials: {type: default_credentials}, rootdirectory: /}}", "distribution", []string{"type: default_credentials"}, []string{"rootdirectory"}},
		{"azblob://con?accountname=acc", "distribution", []string{"type: shared_key"}, nil},
		{"storage: {s3: {bucket: b, region: eu-west-1, v4auth: false, chunksize: 5242880, useragent: x, loglevel: off, redirectendpoint: ''}}", "distribution",
			[]string{"Note: not carried over: storage.s3.chunksize, storage.s3.loglevel, storage.s3.useragent, storage.s3.v4auth", "Note: storage.s3.v4auth is false"}, []string{"redirectendpoint"}},
		{"storage: {swift: {authurl: 'https://k/v3', username: u, password: marked, tenant: t, container: c, tempurlcontainerkey: true, secretkey: marked}}", "distribution-v2",
			[]string{"not carried over: storage.swift.tempurlcontainerkey, storage.swift.secretkey"}, []string{"marked"}},
		{"storage: {filesystem: {rootdirectory: /r, maxthreads: 50}}", "distribution", []string{"not carried over: storage.filesystem.maxthreads"}, nil},
		{"storage: {azure: {accountname: acc, accountkey: bWFya2Vk, container: con, rootdirectory: /x}}", "msr", []string{"at the top of the container"}, []string{"rootdirectory: "}},

		// The address of an account is the one that was given.
		{"azblob://con?accountname=acc&serviceurl=https://acc.z01.blob.storage.azure.net", "distribution", []string{"accountname: acc\n", "serviceurl: https://acc.z01.blob.storage.azure.net\n"}, []string{"realm"}},
		{"azblob://con?serviceurl=https://acc.blob.core.chinacloudapi.cn", "distribution", []string{"serviceurl: https://acc.blob.core.chinacloudapi.cn\n"}, nil},
		{"azblob://con?serviceurl=https://acc.blob.core.chinacloudapi.cn", "msr", []string{"accountname: acc\n", "realm: core.chinacloudapi.cn\n"}, []string{"serviceurl"}},
	} {
		raw := c.raw
		if strings.HasPrefix(raw, "storage:") {
			raw = written(t, raw)
		}
		var b bytes.Buffer
		if err := hermetic.Config(t.Context(), &b, raw, c.platform); err != nil {
			t.Errorf("%s for %s: %v", c.raw, c.platform, err)
			continue
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "#", "")), " ")
		_, section, steps := strings.Cut(text, keepOld)
		if !steps {
			t.Fatalf("where do the steps end?\n%s", b.String())
		}
		for _, want := range c.wants {
			if !strings.Contains(b.String(), want) && !strings.Contains(text, want) {
				t.Errorf("%s for %s does not say %q:\n%s", c.raw, c.platform, want, b.String())
			}
		}
		for _, not := range c.nots {
			if strings.Contains(section, not) {
				t.Errorf("%s for %s says %q:\n%s", c.raw, c.platform, not, b.String())
			}
		}
	}
	for _, raw := range []string{
		"azblob://con?accountname=acc&serviceurl=https://acc.z01.blob.storage.azure.net", "azblob://con?accountname=acc&serviceurl=http://acc.blob.core.windows.net",
		"azblob://con?accountname=acc&serviceurl=https://other.blob.core.windows.net", "azblob://con?accountname=acc&serviceurl=https://acc.blob.core.windows.net:8443",
	} {
		for _, platform := range []string{"distribution-v2", "msr", "harbor"} {
			if err := hermetic.Config(t.Context(), io.Discard, raw, platform); err == nil || !strings.Contains(err.Error(), "no serviceurl") {
				t.Errorf("%s for %s: %v", raw, platform, err)
			}
		}
	}
	if err := hermetic.Config(t.Context(), io.Discard, "azblob://con?serviceurl=https://acc.z01.blob.storage.azure.net", "distribution"); err == nil || !strings.Contains(err.Error(), "accountname=myaccount") {
		t.Errorf("%v", err)
	}
}

// The environment's own address is printed, since the registry does not look
// there; and a registry's file does not follow it.
func TestConfigOfTheEnvironment(t *testing.T) {
	bare(t)
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_PROFILE": "",
		"AWS_ENDPOINT_URL_S3": "http://minio:9000", "AZURE_STORAGE_CONNECTION_STRING": "AccountName=acc;AccountKey=bWFya2Vk;BlobEndpoint=https://acc.z01.blob.storage.azure.net",
	} {
		t.Setenv(name, value)
	}
	file := written(t, "storage: {s3: {bucket: b, region: eu-west-1}}")
	for _, c := range []struct{ raw, platform, want, not string }{
		{"s3://b?region=eu-west-1", "distribution", "regionendpoint: http://minio:9000", ""},
		{"s3://b?region=eu-west-1", "msr", "where no registry looks", ""},
		{"s3://b?region=eu-west-1&endpoint=https://h", "distribution", "regionendpoint: https://h", "minio"},
		{file, "distribution", "bucket: b", "minio"},
		{"azblob://con", "distribution", "serviceurl: https://acc.z01.blob.storage.azure.net", "bWFya2Vk"},
	} {
		var b bytes.Buffer
		err := hermetic.Config(t.Context(), &b, c.raw, c.platform)
		if err != nil || !strings.Contains(strings.ReplaceAll(b.String(), "\n#  ", ""), c.want) || c.not != "" && strings.Contains(b.String(), c.not) {
			t.Errorf("%s for %s: %v, want %q and not %q\n%s", c.raw, c.platform, err, c.want, c.not, b.String())
		}
	}
	if err := hermetic.Config(t.Context(), io.Discard, "azblob://con", "msr"); err == nil || !strings.Contains(err.Error(), "no serviceurl") {
		t.Errorf("%v", err)
	}
}

// What is to be done while the registry is read-only is said then, and in the
// steps before.
func TestPause(t *testing.T) {
	for name, want := range map[string]string{"distribution": "", "distribution-v2": "", "msr": "Back up the metadata", "harbor": "Back up the database"} {
		var b, all bytes.Buffer
		database, err := Pause(&b, name)
		if err != nil || database != (want != "") || !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "read-only") {
			t.Errorf("%s: %v, %v, %s", name, database, err, b.String())
		}
		if err := hermetic.Config(t.Context(), &all, "/x", name); err != nil {
			t.Fatal(err)
		}
		words := func(b *bytes.Buffer) string {
			return strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "#", "")), " ")
		}
		_, step, _ := strings.Cut(strings.TrimSpace(b.String()), "1. ")
		step, _, _ = strings.Cut(step, "\n")
		if !strings.Contains(words(&all), step) || strings.Index(words(&all), "--final") < strings.Index(words(&all), step) {
			t.Errorf("%s: the steps have no %q before the last copy", name, step)
		}
		all.Reset()
		if err := hermetic.Switch(t.Context(), &all, "/x", name); err != nil || strings.Contains(words(&all), step) || !strings.Contains(words(&all), "Keep the old storage") {
			t.Errorf("%s: %v\n%s", name, err, all.String())
		}
	}
	if _, err := Pause(io.Discard, "msrr"); err == nil || !strings.Contains(err.Error(), "did you mean msr?") {
		t.Errorf("%v", err)
	}
}
