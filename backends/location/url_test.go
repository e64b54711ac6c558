package location

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/gcs"
	"github.com/regferry/regferry/backends/oss"
	"github.com/regferry/regferry/backends/swift"
)

// bare takes away what the environment of the machine may have of a system's.
func bare(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "STORAGE_EMULATOR_HOST",
		"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_TENANT_NAME", "ST_AUTH", "ST_USER", "ST_KEY", "OS_REGION_NAME",
	} {
		t.Setenv(name, "")
	}
}

func parsed(raw string) (place, error) {
	p, err := Opener{}.parse(raw)
	return p.place, err
}

func TestParseURLs(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	login := "authurl=https://k/v3&username=u&tenant=t"
	swiftBase := swift.Options{AuthURL: "https://k/v3", Username: "u", Tenant: "t", Password: "p", Container: "c"}
	withSwift := func(change func(*swift.Options)) place {
		o := swiftBase
		change(&o)
		return swiftContainer{o}
	}
	for raw, want := range map[string]place{
		"azblob://con?accountname=acc":                                        azureContainer{Options: azure.Options{Account: "acc", Container: "con"}},
		"azblob://con/a/b?account=acc&realm=r.cn&skipverify=1":                azureContainer{Options: azure.Options{Account: "acc", Container: "con", Prefix: "/a/b", Realm: "r.cn", SkipVerify: true}},
		"azblob://con?serviceurl=http://h:1/acc&root=slash&chunksize=1048576": azureContainer{Options: azure.Options{ServiceURL: "http://h:1/acc", Container: "con", Root: azure.RootSlash, PartSize: 1 << 20}},
		"azblob://con?accountname=acc&registry_version=3.1":                   azureContainer{Options: azure.Options{Account: "acc", Container: "con", RegistryVersion: "3.1"}},
		"gs://bkt/root": gcsBucket{gcs.Options{Bucket: "bkt", Prefix: "/root"}},
		"gs://bkt?keyfile=/k.json&chunksize=262144&acl=private&userproject=p": gcsBucket{gcs.Options{Bucket: "bkt", KeyFile: "/k.json", PartSize: 262144, ACL: "private", UserProject: "p"}},
		"gs://bkt?endpoint=http://h:1&anonymous=true&storageclass=NEARLINE":   gcsBucket{gcs.Options{Bucket: "bkt", Endpoint: "http://h:1", Anonymous: true, StorageClass: "NEARLINE"}},
		"swift://c?" + login: withSwift(func(*swift.Options) {}),
		"swift://c/p/q?" + login + "&domain=D&authversion=3&skipverify=1":           withSwift(func(o *swift.Options) { o.Prefix, o.Domain, o.AuthVersion, o.InsecureSkipVerify = "/p/q", "D", 3, true }),
		"swift://c?authurl=https://k/v3&user=u&project=t&largeobjects=dlo&region=R": withSwift(func(o *swift.Options) { o.LargeObjects, o.Region = "dlo", "R" }),
		"oss://bkt/r?region=cn-x": ossBucket{oss.Options{Bucket: "bkt", Prefix: "/r", Region: "cn-x"}},
		"oss://bkt?region=oss-cn-x&internal=true&secure=false&keyid=k&encrypt=1": ossBucket{oss.Options{Bucket: "bkt", Region: "oss-cn-x", Internal: true, Insecure: true, EncryptionKeyID: "k", Encrypt: true}},
		"oss://bkt?endpoint=h:1&signature=v1&acl=private":                        ossBucket{oss.Options{Bucket: "bkt", Endpoint: "h:1", Signature: "v1", ACL: "private"}},
	} {
		got, err := parsed(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if plain(got) != plain(want) {
			t.Errorf("%s:\n%s, want\n%s", raw, plain(got), plain(want))
		}
	}
}

// plain compares options, which have functions in them.
func plain(p place) string {
	switch p := p.(type) {
	case swiftContainer:
		return fmt.Sprintf("%+v %q", p, string(p.Password))
	case s3Bucket:
		return fmt.Sprintf("%+v %q %q", p, string(p.AccessKeyID), string(p.SecretAccessKey))
	case azureContainer:
		c := p.Credentials
		return fmt.Sprintf("%+v %q", p, []string{c.Key, c.ConnectionString, c.SAS, c.TenantID, c.ClientID, c.ClientSecret})
	case gcsBucket:
		return fmt.Sprintf("%+v %q", p, string([]byte(p.Credentials)))
	case ossBucket:
		return fmt.Sprintf("%+v %q %q", p, p.AccessKeyID, []byte(p.AccessKeySecret))
	}
	return fmt.Sprintf("%+v", p)
}

func TestURLRefusals(t *testing.T) {
	bare(t)
	for raw, want := range map[string]string{
		"azblob://":                                     "a container comes after azblob://",
		"azblob://u:hunter2@con":                        "AZURE_STORAGE_KEY",
		"azblob://con?accountkey=hunter2":               "AZURE_STORAGE_KEY",
		"azblob://con?connectionstring=hunter2":         "AZURE_STORAGE_CONNECTION_STRING",
		"azblob://con?sig=hunter2&accountname=acc":      "AZURE_STORAGE_SAS_TOKEN",
		"azblob://con?acountname=acc":                   "did you mean accountname?",
		"azblob://con?accountname=acc&account=acc":      "say the same",
		"azblob://con?accountname=acc&root=upside":      "plain or slash",
		"azblob://con":                                  "AZURE_STORAGE_ACCOUNT",
		"azblob://con?accountname=acc&max_retries=3":    "not known",
		"azblob://con?container=x":                      "the container comes after azblob://",
		"gs://":                                         "a bucket comes after gs://",
		"gs://bkt:80/":                                  "option endpoint",
		"gs://bkt?credentials=hunter2":                  "GOOGLE_APPLICATION_CREDENTIALS",
		"gs://bkt?keyfle=/x":                            "did you mean keyfile?",
		"gs://bkt?anonymous=maybe":                      "neither true nor false",
		"gs://bkt?chunksize=1000":                       "256 KiB",
		"gs://bkt#f":                                    "nothing else",
		"swift://c?password=hunter2":                    "OS_PASSWORD",
		"swift://c?secretkey=hunter2":                   "OS_PASSWORD",
		"swift://c?applicationcredentialsecret=hunter2": "OS_APPLICATION_CREDENTIAL_SECRET",
		"swift://c?tennant=x":                           "did you mean tenant?",
		"swift://c?authversion=three":                   "no whole number",
		"swift://c":                                     "OS_AUTH_URL",
		"swift://c?authurl=https://k&username=u":        "OS_PASSWORD",
		"oss://bkt?region=x&accesskeyid=hunter2":        "OSS_ACCESS_KEY_ID",
		"oss://bkt?region=x&accesskeysecret=hunter2":    "OSS_ACCESS_KEY_SECRET",
		"oss://bkt":                                     "region",
		"oss://bkt?regoin=x":                            "did you mean region?",
		"s3://b?reigon=x":                               "did you mean region?",
		"file:///x?fsnyc=each":                          "did you mean fsync?",
		"azblod://x":                                    "did you mean azblob?",
		"s3:/b":                                         "did you mean s3://b? A directory of that name is ./s3:/b",
		"s3:b/x":                                        "did you mean s3://b/x?",
		"gs:/b?keyfile=/k":                              "did you mean gs://b?keyfile=/k?",
		"s3:/AKIA:hunter2@b":                            "did you mean s3://...@b?",
		"azblob:/con?accountkey=hunter2":                "did you mean azblob://con?accountkey=...?",
	} {
		_, err := parsed(raw)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is shown: %v", err)
		}
		scheme, _, _ := strings.Cut(raw, ":")
		if s := schemes[scheme]; err != nil && s != nil && !strings.Contains(err.Error(), s.example) {
			t.Errorf("%s shows no right one: %v", raw, err)
		}
	}
}

// Each example that an error shows is a right one.
func TestExamples(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	t.Setenv("OS_AUTH_URL", "https://k/v3")
	t.Setenv("OS_USERNAME", "u")
	t.Setenv("OS_PROJECT_NAME", "t")
	for _, s := range systems() {
		n := 0
		for word := range strings.FieldsSeq(s.example) {
			if word = strings.TrimSuffix(word, ","); strings.Contains(word, "://") {
				n++
				if _, err := parsed(word); err != nil {
					t.Error(err)
				}
			}
		}
		if n != 2 {
			t.Errorf("%s has %d examples", s.scheme, n)
		}
	}
}

func TestRedacted(t *testing.T) {
	for raw, want := range map[string]string{
		"azblob://u:hunter2@c?accountname=a":             "azblob://...@c?accountname=a",
		"azblob://c?accountkey=hunter2&realm=r":          "azblob://c?accountkey=...&realm=r",
		"azblob://c?serviceurl=https://a.b/?sig=hunter2": "azblob://c?serviceurl=...",
		"gs://b?keyfile=/k&credentials=hunter2":          "gs://b?keyfile=/k&credentials=...",
		"swift://c?authurl=https://u:hunter2@h":          "swift://c?authurl=...",
		"swift://c?authurl=https://u:hunter2%40h":        "swift://c?authurl=...",
		"swift://c?username=u&password=hunter2":          "swift://c?username=u&password=...",
		"oss://b?region=r&accesskeysecret=hunter2":       "oss://b?region=r&accesskeysecret=...",
		"ftp://u:hunter2@h?k=hunter2":                    "ftp://...@h?k=...",
		"s3:/u:hunter2@b?secretkey=hunter2":              "s3:/...@b?secretkey=...",
		"s3:b":                                           "s3:b",
		"file:/x":                                        "file:/x",
		"/etc/registry/config.yml":                       "/etc/registry/config.yml",
		"config:/etc/registry/config":                    "config:/etc/registry/config",
	} {
		if got := Redacted(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestApartURLs(t *testing.T) {
	bare(t)
	t.Setenv("OS_PASSWORD", "p")
	login := "?authurl=https://k/v3&username=u&tenant=t"
	for _, c := range []struct {
		a, b   string
		nested bool
	}{
		{"azblob://con?accountname=acc", "azblob://con?accountname=acc&skipverify=1", true},
		{"azblob://con?accountname=acc", "azblob://con?accountname=other", false},
		{"azblob://con?accountname=acc&root=slash", "azblob://con?accountname=acc&root=plain", false},
		{"azblob://con/x?accountname=acc", "azblob://con/y?accountname=acc", false},
		{"gs://bkt/x", "gs://bkt/x/", true},
		{"gs://bkt", "gs://bkt/docker/registry", true},
		{"gs://bkt", "s3://bkt", false},
		{"gs://bkt", "oss://bkt?region=cn-x", false},
		{"swift://c" + login, "swift://c" + login, true},
		{"swift://c" + login, "swift://d" + login, false},
		{"oss://bkt?region=cn-x", "oss://bkt?region=oss-cn-x", true},
		{"oss://bkt?region=cn-x", "oss://bkt/new?region=cn-x", false},
	} {
		for range 2 {
			if err := CheckApart(c.a, c.b); errors.Is(err, ErrNested) != c.nested || err != nil && !c.nested {
				t.Errorf("%s and %s: %v", c.a, c.b, err)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"region", "regionendpoint", "bucket", "secure", "skipverify"}
	for name, want := range map[string]string{
		"regoin": "region", "Bucket": "bucket", "buckte": "bucket", "skip_verify": "skipverify", "regionendpiont": "regionendpoint",
		"colour": "", "": "", strings.Repeat("region", 1000): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%.20s: %q, want %q", name, got, want)
		}
	}
}
