package location

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/s3"
)

const marked = "MarkedSecret"

// No secret shows, wherever it is in a file and whoever prints what.
func TestNoSecretShows(t *testing.T) {
	bare(t)
	b64 := base64.StdEncoding.EncodeToString([]byte(marked))
	key := `{"type":"service_account","private_key":"` + marked + `"}`
	sections := map[string]string{
		"s3":    "{region: r, bucket: b, accesskey: M1, secretkey: M2}",
		"azure": "{accountname: acc, container: con, accountkey: " + b64 + "}",
		"gcs":   "{bucket: b, credentials: " + key + "}",
		"swift": "{authurl: 'https://k/v3', username: u, tenant: t, container: c, password: M1, secretkey: M2, accesskey: M3}",
		"oss":   "{region: r, bucket: bkt, accesskeyid: id, accesskeysecret: M2}",
	}
	var texts []string
	for driver, section := range sections {
		texts = append(texts, "storage: {"+driver+": "+section+"}", values("{backend: "+driver+", "+driver+": "+section+"}"), resource("{backend: "+driver+", "+driver+": "+section+"}"))
		if driver == "gcs" {
			section = "{bucket: b, encodedkey: " + base64.StdEncoding.EncodeToString([]byte(key)) + "}"
		}
		texts = append(texts, chart("{type: "+driver+", "+driver+": "+section+"}"))
	}
	texts = append(texts,
		"storage: {azure: {accountname: acc, container: con, credentials: {type: client_secret, tenantid: t, clientid: c, secret: M1}}}",
		"storage: {azure: {accountname: acc, container: con, connectionstring: 'AccountName=acc;AccountKey="+b64+"'}}",
	)
	for _, text := range texts {
		for i := range 4 {
			text = strings.ReplaceAll(text, fmt.Sprintf("M%d", i), fmt.Sprint(marked, i))
		}
		searched(t, text)
		// Broken in each line and each word: the errors have none, either.
		for i := 1; i < len(text); i += 3 {
			searched(t, text[:i])
			searched(t, text[:i]+"\t"+text[i:])
			searched(t, text[:i]+": ["+text[i:])
		}
		for _, change := range []string{"bucket", "container", "region", "username", "authurl", "accountname", "credentials", "type", "backend"} {
			searched(t, strings.Replace(text, change+": ", change+": 1.5 ", 1))
			searched(t, strings.Replace(text, change+": ", change+": ["+marked+"], x"+change+": ", 1))
		}
	}
}

// searched looks at all that is made of a text.
func searched(t *testing.T, text string) {
	t.Helper()
	p, err := hermetic.parseText([]byte(text))
	out := fmt.Sprintf("%v %+v %#v", err, &Error{"x.yml", err}, err)
	if err == nil {
		id, errID := p.identity()
		var b bytes.Buffer
		asJSON, _ := json.Marshal(p.place)
		asYAML, _ := yaml.Marshal(p.facts)
		out += fmt.Sprintf("%v %+v %#v %s %q %x %v %v %+v %s %s", p, p, p, p.place, p.place, p.place, id, errID, p.facts, asJSON, asYAML)
		for _, to := range platforms {
			if s, err := p.section(to); err == nil {
				written, _ := to.write(s, false)
				b.Write(written)
				out += fmt.Sprintf("%+v", s)
			} else {
				out += err.Error()
			}
		}
		out += b.String()
	}
	hidden := []string{marked, base64.StdEncoding.EncodeToString([]byte(marked)), fmt.Sprintf("%x", marked)}
	for _, one := range hidden {
		if strings.Contains(out, one) {
			t.Fatalf("a secret shows:\n%s\n%s", text, out)
		}
	}
}

// The types by themselves, too, wherever they are put.
func TestNoSecretInTypes(t *testing.T) {
	k := backends.Secret(marked)
	p := params{system: &s3System, at: "storage.s3", values: map[string]any{"secretkey": marked}}
	n := node{"storage", map[string]any{"secretkey": marked}}
	for _, v := range []any{k, &k, struct{ K backends.Secret }{k}, []backends.Secret{k}, p, &p, n, s3Bucket{Options: s3.Options{SecretAccessKey: k}}, map[string]any{"k": k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, marked) || strings.Contains(out, fmt.Sprintf("%x", marked)) {
				t.Errorf("%T by %s: %s", v, verb, out)
			}
		}
		if out, _ := json.Marshal(v); strings.Contains(string(out), marked) {
			t.Errorf("%T: %s", v, out)
		}
	}
}
