package location

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/gcs"
	"github.com/regferry/regferry/backends/oss"
	"github.com/regferry/regferry/backends/s3"
	"github.com/regferry/regferry/backends/swift"
)

// resource wraps MSR's storage, which is flow YAML, as its custom resource.
func resource(storage string) string {
	return "apiVersion: msr.mirantis.com/v1\nkind: MSR\nmetadata: {name: msr}\nspec:\n  image: {tag: 3.1.0}\n  registry:\n    replicaCount: 3\n    storage: " + storage + "\n"
}

func values(storage string) string {
	return "nginx: {replicaCount: 1}\nregistry:\n  replicaCount: 3\n  storage: " + storage + "\n"
}

const msrClaim = "MSR's persistentVolume"

func TestMSR(t *testing.T) {
	bare(t)
	for text, want := range map[string]place{
		"{}": volume{dir: "/storage", claim: msrClaim},
		"{backend: persistentVolume, persistentVolume: {storageClass: nfs, accessMode: ReadWriteMany, size: 5Gi}}":           volume{dir: "/storage", claim: msrClaim},
		"{backend: '', persistentVolume: {storageClassName: nfs, accessModes: [ReadWriteMany], accessMode: ReadWriteMany}}":  volume{dir: "/storage", claim: msrClaim},
		"{backend: s3, persistentVolume: {size: 5Gi}, s3: {region: r, bucket: b, accesskey: k, secretkey: s, v4auth: true}}": s3OfFile(s3.Options{Bucket: "b", Region: "r", AccessKeyID: "k", SecretAccessKey: "s"}),
		"{backend: s3, s3: {region: r, bucket: b}, azure: {accountname: x}, somethingElse: 1}":                               s3OfFile(s3.Options{Bucket: "b", Region: "r"}),
		"{backend: azure, azure: {accountname: acc, accountkey: a2V5, container: con}}":                                      azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"},
		"{backend: gcs, gcs: {bucket: b, keyfile: /k}}":                                                                      gcsBucket{gcs.Options{Bucket: "b", KeyFile: "/k"}},
		"{backend: swift, swift: {authurl: 'https://k/v3', username: u, password: p, container: c, tenantid: t}}":            swiftContainer{swift.Options{AuthURL: "https://k/v3", Username: "u", Password: "p", Container: "c", TenantID: "t"}},
		"{backend: oss, oss: {accesskeyid: i, accesskeysecret: s, region: cn-x, bucket: bkt}}":                               ossBucket{oss.Options{Bucket: "bkt", Region: "cn-x", AccessKeyID: "i", AccessKeySecret: "s"}},
	} {
		for kind, text := range map[string]string{kindMSRResource: resource(text), kindMSRValues: values(text)} {
			got, err := hermetic.parse(written(t, "apiVersion: rethinkdbs.rethinkdb.com/v1\nkind: RethinkDB\nspec: {registry: {storage: {}}}\n---\n"+text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if plain(got.place) != plain(want) || got.facts.Kind != kind {
				t.Errorf("%s:\n%s %+v, want\n%s", text, plain(got.place), got.facts, plain(want))
			}
		}
	}
	if dir, err := (Opener{Mount: "/mnt/msr"}).Path(written(t, values("{backend: persistentVolume}"))); dir != "/mnt/msr" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestMSRRefuses(t *testing.T) {
	bare(t)
	for storage, want := range map[string]string{
		"x":                                         " is a text and not a mapping",
		"{backend: s4}":                             ".backend is none of persistentVolume, azure, gcs, s3, swift, oss, did you mean s3?",
		"{backend: filesystem}":                     ".backend is none of persistentVolume",
		"{backend: [s3]}":                           ".backend is a list and not a text",
		"{s3: {bucket: b}}":                         ".backend is missing, and ",
		"{bakend: s3, s3: {}}":                      "did you mean backend?",
		"{backend: persistentvolume}":               "did you mean persistentVolume?",
		"{backend: s3}":                             "no bucket is named",
		"{backend: s3, s3: [hunter2]}":              ".s3 is a list and not a mapping",
		"{backend: s3, s3: {buckett: b}}":           ".s3.buckett is no parameter of s3, did you mean bucket?",
		"{backend: s3, s3: {bucket: {a: hunter2}}}": ".s3.bucket is a mapping and not a text",
		"{persistentVolume: {storageClass: a, storageClassName: b}}":                 "two spellings of one field",
		"{persistentVolume: {storageClas: a}}":                                       "did you mean storageClass?",
		"{persistentVolume: {accessModes: [1]}}":                                     "has an element that is a number",
		"{persistentVolume: {storageClass: {a: hunter2}}}":                           "is a mapping and not a text",
		"{backend: swift, swift: {username: u, authurl: 'https://k', container: c}}": ".swift: password is missing",
	} {
		for _, text := range []string{resource(storage), values(storage)} {
			at := map[bool]string{true: "spec.registry.storage", false: "registry.storage"}[strings.HasPrefix(text, "apiVersion")]
			_, err := hermetic.parse(written(t, text))
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), at) && !strings.Contains(err.Error(), "did you mean") {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
		}
	}
	for text, want := range map[string]string{
		"apiVersion: msr.mirantis.com/v2\nkind: MSR\nspec: {}":  "only msr.mirantis.com/v1",
		"apiVersion: msr.mirantis.com/v1\nkind: MSR\nspec: [a]": "spec is a list and not a mapping: look at the indentation",
		resource("{}") + "---\n" + resource("{}"):               "two storages",
		"msr:\n  registry:\n    storage: {backend: s3}":         "there is a msr.registry.storage",
		"imageChartStorage: {type: s3}":                         "there is a imageChartStorage",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {}":       "it names no storage",
		"replicaCount: 1": "where that is mounted",
	} {
		_, err := hermetic.parse(written(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A claim that is not mounted must not become a directory of this machine.
func TestClaimIsMounted(t *testing.T) {
	at := filepath.Join(t.TempDir(), "not-mounted")
	raw := written(t, values("{backend: persistentVolume}"))
	o := Opener{Mount: at}
	for name, open := range map[string]func() error{
		"source":      func() error { _, err := o.Source(t.Context(), raw); return err },
		"destination": func() error { _, err := o.Destination(t.Context(), raw); return err },
		"look":        func() error { _, err := o.AsItIs(t.Context(), raw); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "--from-mount or --to-mount") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was made")
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := o.Destination(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func chart(storage string) string {
	return "externalURL: https://h\npersistence:\n  enabled: true\n  persistentVolumeClaim: {registry: {size: 5Gi}}\n  imageChartStorage: " + storage + "\n"
}

const googleKey = `{"private_key":"marked","type":"service_account"}`

func TestHarbor(t *testing.T) {
	bare(t)
	const harborClaim = "Harbor's volume of images"
	encoded := base64.StdEncoding.EncodeToString([]byte(googleKey))
	for text, want := range map[string]place{
		"{}": volume{dir: "/storage", claim: harborClaim},
		"{type: filesystem, filesystem: {rootdirectory: /data, maxthreads: 100}}": volume{dir: "/data", claim: harborClaim},
		"{type: s3, disableredirect: true, s3: {existingSecret: '', region: us-west-1, bucket: b, accesskey: k, secretkey: s, regionendpoint: 'http://h', chunksize: '5242880', skipverify: false, multipartcopychunksize: '33554432'}}": s3OfFile(s3.Options{Bucket: "b", Region: "us-west-1", Endpoint: "http://h", PathStyle: true, AccessKeyID: "k", SecretAccessKey: "s"}),
		"{type: azure, azure: {accountname: acc, accountkey: a2V5, container: con, existingSecret: ''}}":                                                                                                                                 azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"},
		"{type: gcs, gcs: {bucket: b, encodedkey: " + encoded + ", useWorkloadIdentity: false}}":                                                                                                                                         gcsBucket{gcs.Options{Bucket: "b", Credentials: gcs.Credentials(googleKey)}},
		"{type: gcs, gcs: {bucket: b, encodedkey: base64-encoded-json-key-file, useWorkloadIdentity: true}}":                                                                                                                             gcsBucket{gcs.Options{Bucket: "b"}},
		"{type: swift, swift: {authurl: 'https://k/v3', username: u, password: p, container: c, tenant: t, chunksize: 5M, prefix: null}}":                                                                                                swiftContainer{swift.Options{AuthURL: "https://k/v3", Username: "u", Password: "p", Container: "c", Tenant: "t"}},
		"{type: oss, oss: {accesskeyid: i, accesskeysecret: s, region: r, bucket: bkt, chunksize: 10M, rootdirectory: root, secure: true}}":                                                                                              ossBucket{oss.Options{Bucket: "bkt", Region: "r", AccessKeyID: "i", AccessKeySecret: "s", Prefix: "root"}},
	} {
		got, err := hermetic.parse(written(t, chart(text)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if plain(got.place) != plain(want) || got.facts.Kind != kindHarbor || got.facts.RedirectDisable != strings.Contains(text, "disableredirect") {
			t.Errorf("%s:\n%s %+v, want\n%s", text, plain(got.place), got.facts, plain(want))
		}
	}
}

func TestHarborRefuses(t *testing.T) {
	bare(t)
	for text, want := range map[string]string{
		"{type: s4}":                           "persistence.imageChartStorage.type is none of filesystem, azure, gcs, s3, swift, oss, did you mean s3?",
		"{typ: s3}":                            "persistence.imageChartStorage.typ is no field of Harbor's chart, did you mean type?",
		"{type: s3, disableredirect: hunter2}": "persistence.imageChartStorage.disableredirect is a text and neither true nor false",
		"{type: s3, s3: {bucket: b, existingsecret: x}}":                                                           "s3.existingsecret is no parameter",
		"{type: gcs, gcs: {bucket: b, encodedkey: hunter2}}":                                                       "persistence.imageChartStorage.gcs.encodedkey is no base64 of a JSON key",
		"{type: s3, s3: {bucket: b, region: r, existingSecret: my-secret}}":                                        "names the Secret my-secret, whose key REGISTRY_STORAGE_S3_ACCESSKEY is needed",
		"{type: azure, azure: {accountname: acc, container: con, accountkey: hunter2, existingSecret: my-secret}}": "whose key AZURE_STORAGE_ACCESS_KEY is needed",
		"{type: gcs, gcs: {bucket: b, existingSecret: my-secret}}":                                                 "whose key GCS_KEY_DATA is needed",
		"{type: swift, swift: {existingSecret: my-secret}}":                                                        "whose key REGISTRY_STORAGE_SWIFT_PASSWORD is needed",
		"{type: oss, oss: {existingSecret: my-secret}}":                                                            "whose key REGISTRY_STORAGE_OSS_ACCESSKEYSECRET is needed",
		"{type: s3, s3: {existingSecret: [hunter2]}}":                                                              "s3.existingSecret is a list and not a text",
	} {
		_, err := hermetic.parse(written(t, chart(text)))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if strings.Contains(want, "is needed") && !strings.Contains(err.Error(), "--from-secrets") {
			t.Errorf("%v does not say how", err)
		}
	}
	if _, err := hermetic.parse(written(t, strings.Replace(chart("{}"), "enabled: true", "enabled: false", 1))); err == nil || !strings.Contains(err.Error(), "persistence.enabled is false") {
		t.Errorf("%v", err)
	}
	f, err := hermetic.Facts(written(t, chart("{type: s3, caBundleSecretName: ca, s3: {bucket: b}}")))
	if err != nil || len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "ca.crt of the Secret ca") {
		t.Errorf("%+v, %v", f, err)
	}
}

// A part of a claim that Harbor mounts is warned of, unless it is what is named.
func TestHarborSubPath(t *testing.T) {
	bare(t)
	raw := written(t, "persistence: {persistentVolumeClaim: {registry: {existingClaim: c, subPath: images/harbor/}}}")
	for mount, want := range map[string]string{
		"": "at /storage, or, where all of it is mounted there, give /storage/images/harbor", "/mnt": "give /mnt/images/harbor", "/mnt/other-images/harbor/x": "give ",
		"/mnt/myimages/harbor": "give ", "/mnt/images/harbor": "", "images/harbor/": "",
	} {
		f, err := Opener{Environ: []string{}, Mount: mount}.Facts(raw)
		if err != nil || len(f.Warnings) != map[bool]int{true: 1}[want != ""] || want != "" && !strings.Contains(f.Warnings[0], want) {
			t.Errorf("%s: %q, %v", mount, f.Warnings, err)
		}
	}
	if _, err := hermetic.Facts(written(t, "persistence: {persistentVolumeClaim: {registry: {subPath: [x]}}}")); err == nil || !strings.Contains(err.Error(), "registry.subPath is a list") {
		t.Errorf("%v", err)
	}
}

// Secrets are given as Kubernetes mounts them: a directory with a file for each
// key, which is a link to a link.
func TestSecrets(t *testing.T) {
	bare(t)
	dir := t.TempDir()
	mount := func(name string, keys map[string]string) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(at, "..2026"), 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.Symlink("..2026", filepath.Join(at, "..data"))
		for key, value := range keys {
			err = errors.Join(err, os.WriteFile(filepath.Join(at, "..2026", key), []byte(value), 0o600), os.Symlink("..data/"+key, filepath.Join(at, key)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mount("one", map[string]string{
		"REGISTRY_STORAGE_S3_ACCESSKEY": "k\n", "REGISTRY_STORAGE_S3_SECRETKEY": "s", "AZURE_STORAGE_ACCESS_KEY": "a2V5", "GCS_KEY_DATA": googleKey,
		"REGISTRY_STORAGE_SWIFT_PASSWORD": "p", "REGISTRY_STORAGE_OSS_ACCESSKEYSECRET": "s",
	})
	mount("all/s3", map[string]string{"REGISTRY_STORAGE_S3_ACCESSKEY": "k", "REGISTRY_STORAGE_S3_SECRETKEY": "s"})
	mount("plain", map[string]string{"accesskey": "k", "secretkey": "s"})
	mount("azure", map[string]string{"accountkey": "a2V5"})
	wantS3 := s3OfFile(s3.Options{Bucket: "b", Region: "r", AccessKeyID: "k", SecretAccessKey: "s"})
	for _, c := range []struct {
		secrets, text string
		want          place
	}{
		{"one", chart("{type: s3, s3: {bucket: b, region: r, accesskey: placeholder, existingSecret: x}}"), wantS3},
		{"all", chart("{type: s3, s3: {bucket: b, region: r, existingSecret: s3}}"), wantS3},
		{"plain", values("{backend: s3, s3: {bucket: b, region: r}}"), wantS3},
		{"one", resource("{backend: s3, s3: {bucket: b, region: r}}"), wantS3},
		{"one", "storage: {s3: {bucket: b, region: r}}", wantS3},
		{"plain", "storage: {s3aws: {bucket: b, region: r}}", wantS3},
		{"azure", "storage: {azure: {accountname: acc, container: con}}", azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"}},
		{"one", chart("{type: azure, azure: {accountname: acc, container: con, existingSecret: x}}"), azureContainer{azure.Options{Account: "acc", Container: "con", Credentials: azure.Credentials{Key: "a2V5"}}, "2.8"}},
		{"one", chart("{type: gcs, gcs: {bucket: b, existingSecret: x}}"), gcsBucket{gcs.Options{Bucket: "b", Credentials: gcs.Credentials(googleKey)}}},
		{"one", chart("{type: swift, swift: {authurl: 'https://k/v3', username: u, container: c, tenant: t, existingSecret: x}}"), swiftContainer{swift.Options{AuthURL: "https://k/v3", Username: "u", Password: "p", Container: "c", Tenant: "t"}}},
		{"one", chart("{type: oss, oss: {accesskeyid: i, region: r, bucket: bkt, existingSecret: x}}"), ossBucket{oss.Options{Bucket: "bkt", Region: "r", AccessKeyID: "i", AccessKeySecret: "s"}}},
	} {
		got, err := Opener{Environ: []string{}, Secrets: filepath.Join(dir, c.secrets)}.parse(written(t, c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if plain(got.place) != plain(c.want) {
			t.Errorf("%s:\n%s, want\n%s", c.text, plain(got.place), plain(c.want))
		}
	}
	// A name in a file of somebody else's does not lead out of the directory.
	outside := chart("{type: s3, s3: {bucket: b, existingSecret: ../one}}")
	if _, err := (Opener{Secrets: filepath.Join(dir, "all")}).parse(written(t, outside)); err == nil || strings.Contains(err.Error(), "kubectl") {
		t.Errorf("%v", err)
	}
	if _, err := (Opener{Secrets: filepath.Join(dir, "gone")}).parse(written(t, outside)); err == nil || !strings.Contains(err.Error(), "cannot be opened") {
		t.Errorf("%v", err)
	}
}
