package location

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// maxSecret is more than the JSON key of a service account has.
const maxSecret = 64 << 10

// secretKey is a parameter that Kubernetes Secrets have, under these names: the
// chart's own first (goharbor/harbor-helm, values.yaml and
// templates/registry/registry-secret.yaml).
type secretKey struct {
	param  string
	keys   []string
	needed bool // by a registry that is given a Secret
}

var secretKeys = map[string][]secretKey{
	"s3":    {{"accesskey", []string{"REGISTRY_STORAGE_S3_ACCESSKEY"}, true}, {"secretkey", []string{"REGISTRY_STORAGE_S3_SECRETKEY"}, true}},
	"azure": {{"accountkey", []string{"AZURE_STORAGE_ACCESS_KEY", "REGISTRY_STORAGE_AZURE_ACCOUNTKEY"}, true}},
	"gcs":   {{"credentials", []string{"GCS_KEY_DATA"}, true}},
	"swift": {{"password", []string{"REGISTRY_STORAGE_SWIFT_PASSWORD"}, true}, {"secretkey", []string{"REGISTRY_STORAGE_SWIFT_SECRETKEY"}, false}, {"accesskey", []string{"REGISTRY_STORAGE_SWIFT_ACCESSKEY"}, false}},
	"oss":   {{"accesskeyid", []string{"REGISTRY_STORAGE_OSS_ACCESSKEYID"}, false}, {"accesskeysecret", []string{"REGISTRY_STORAGE_OSS_ACCESSKEYSECRET"}, true}},
}

// fill takes secrets from the directory of them: all of a Secret that is named,
// which goes before the values beside it as in the chart, else what is missing.
func (o Opener) fill(p *params, secretName string) error {
	for _, k := range secretKeys[p.system.driver] {
		if secretName == "" && p.values[k.param] != nil && p.values[k.param] != "" {
			continue
		}
		value, err := o.readSecret(secretName, append(slices.Clone(k.keys), k.param))
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", p.field(k.param), err)
		case value == "" && secretName != "" && k.needed:
			return fmt.Errorf("%[1]s names the Secret %[2]s, whose key %[3]s is needed: write it to a file (kubectl get secret %[2]s -o jsonpath='{.data.%[3]s}' | base64 -d > DIR/%[3]s) and give the directory with --from-secrets or --to-secrets",
				p.field("existingSecret"), printable(secretName), k.keys[0])
		case value == "":
		case k.param == "credentials":
			if p.values[k.param], err = encodedKey(value); err != nil {
				return fmt.Errorf("the key %s of the Secret %w", k.keys[0], err)
			}
		default:
			p.values[k.param] = value
		}
	}
	return nil
}

// readSecret is empty where no file has one of the keys. The directory is that
// of one Secret as Kubernetes mounts it, or has one for each.
func (o Opener) readSecret(secretName string, keys []string) (string, error) {
	if o.Secrets == "" {
		return "", nil
	}
	dir, err := os.OpenRoot(o.Secrets)
	if err != nil {
		return "", fmt.Errorf("the directory of the Secrets cannot be opened: %w", err)
	}
	defer dir.Close()
	for _, key := range keys {
		for _, name := range []string{path.Join(secretName, key), key} {
			f, err := dir.Open(name)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return "", fmt.Errorf("the Secret's file %s: %w", name, err)
			}
			text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
			_ = f.Close()
			switch {
			case err != nil:
				return "", fmt.Errorf("the Secret's file %s: %w", name, err)
			case len(text) > maxSecret:
				return "", fmt.Errorf("the Secret's file %s has more than 64 KiB, so it is none", name)
			}
			if value := strings.TrimRight(string(text), "\r\n"); value != "" { // an editor's last line
				return value, nil
			}
		}
	}
	return "", nil
}
