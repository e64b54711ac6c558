package location

import (
	"bytes"
	"encoding/base64"
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
			err := Opener{}.Config(&b, raw, name)
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
			if err := o.Config(&b, again, name); err != nil {
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
		err := Opener{}.Config(&b, c.raw, c.platform)
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
		if err := (Opener{}).Config(&b, "s3://bkt?endpoint=http://h", name); err != nil {
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
	if err := hermetic.Config(&b, from, "distribution"); err != nil {
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
		if err := hermetic.Config(&b, written(t, text), "distribution"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "marked") || strings.Contains(b.String(), "bWFya2Vk") {
			t.Errorf("%s:\n%s", text, b.String())
		}
	}
}
