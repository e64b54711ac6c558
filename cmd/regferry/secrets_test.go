//go:build linux

package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// mark is in every secret of these tests.
const mark = "HunterTwoMark"

// shows says in which form a secret is in a text.
func shows(text string, secrets ...string) string {
	for _, s := range secrets {
		for form, v := range map[string]string{
			"as it is": s, "in base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="), "in hex": hex.EncodeToString([]byte(s)),
			"escaped": url.QueryEscape(s),
		} {
			if strings.Contains(text, v) {
				return form
			}
		}
	}
	return ""
}

// written is every file below a directory, one after the other.
func written(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// everyCommand runs each command on a location, with all there is of logs,
// reports and checkpoints, and looks for secrets in what it says and writes.
// What the exit code is does not matter here.
func everyCommand(t *testing.T, raw string, away bool, secrets ...string) {
	t.Helper()
	volume := filepath.Join(t.TempDir(), "volume")
	if _, err := layouttest.WriteDir(volume, layouttest.Shape{Seed: 1, Repositories: 1, Tags: 1, Layers: 1}); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{
		{"migrate", "--from", volume, "--to", raw},
		{"config", "--for", "distribution", raw}, {"config", "--for", "msr", raw}, {"config", "--for", "harbor", raw}, {"config", "--for", "distribution-v2", raw},
	}
	if !away { // where each would wait for the same
		commands = append(commands, [][]string{
			{"migrate", "--from", raw, "--to", filepath.Join(t.TempDir(), "to")}, {"migrate", "--from", volume, "--to", raw, "--dry-run"},
			{"mirror", "--from", volume, "--to", raw, "--once", "--listen", "none"}, {"mirror", "finish", "--from", volume, "--to", raw},
			{"mirror", "--from", raw, "--to", filepath.Join(t.TempDir(), "to"), "--once", "--listen", "127.0.0.1:0"}, {"mirror", "approve", "--from", volume, "--to", raw},
			{"mirror", "--from", volume, "--to", raw, "--check"},
			{"verify", "--on", raw}, {"verify", "--from", volume, "--to", raw}, {"inspect", raw}, {"inspect", raw, "--json"}, {"preflight", "--from", volume, "--to", raw},
		}...)
	}
	for _, c := range commands {
		dir := t.TempDir()
		args := c
		if c[0] != "config" && !slices.Contains(c, "approve") {
			args = append(args, "--log-level", "debug", "--log-format", "json")
		}
		if c[0] == "migrate" || c[0] == "verify" {
			args = append(args, "--checkpoint", filepath.Join(dir, "checkpoint"))
		}
		if c[0] != "config" && c[0] != "preflight" && (c[0] != "mirror" || slices.Contains(c, "finish")) {
			for _, suffix := range []string{"txt", "json", "jsonl", "html", "xml"} {
				args = append(args, "--report", filepath.Join(dir, "report."+suffix))
			}
		}
		p := launchWith(t, []string{"AWS_MAX_ATTEMPTS=1", "XDG_STATE_HOME=" + dir}, args...)
		if kids := childrenOf(p); kids != "" {
			t.Errorf("%s started the processes %s", c[0], kids)
		}
		ended(t, p)
		if form := shows(p.out.String(), secrets...); form != "" {
			t.Errorf("%v says a secret, %s:\n%s", c, form, p.out)
		}
		if form := shows(written(t, dir), secrets...); form != "" {
			t.Errorf("%v writes a secret, %s", c, form)
		}
	}
}

func ended(t *testing.T, p *process) {
	t.Helper()
	if p.running(2 * time.Minute) {
		p.kill()
		t.Errorf("it does not end:\n%s", p.out)
	}
}

// childrenOf are the processes that a process has started.
func childrenOf(p *process) string {
	id := p.cmd.Process.Pid
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", id, id))
	return string(data)
}

// Whatever a location holds that is secret, nobody shows it, also where each
// service is away.
func TestNoCommandShowsASecret(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some 60 programs")
	}
	for name := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AZURE_STORAGE_KEY": "", "OS_PASSWORD": "", "OS_USERNAME": "",
		"OS_APPLICATION_CREDENTIAL_SECRET": "", "OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": "", "OSS_SESSION_TOKEN": "", "AZURE_CLIENT_SECRET": "",
	} {
		t.Setenv(name, mark)
	}
	key := base64.StdEncoding.EncodeToString([]byte(mark))
	for name, text := range map[string]string{
		"s3.yml":    "storage: {s3: {region: r, bucket: b, regionendpoint: 'http://127.0.0.1:1', accesskey: %s, secretkey: %s}}",
		"azure.yml": "storage: {azure: {accountname: acc, container: con, serviceurl: 'http://127.0.0.1:1/acc', accountkey: " + key + ", credentials: {type: shared_key}}}",
		"swift.yml": "storage: {swift: {authurl: 'http://127.0.0.1:1/auth/v1.0', username: u, container: c, password: %s, secretkey: %s, accesskey: %s}}",
		"oss.yml":   "storage: {oss: {region: oss-cn-hangzhou, bucket: bkt, endpoint: '127.0.0.1:1', secure: false, accesskeyid: id, accesskeysecret: %s}}",
		"msr.yaml":  "registry: {storage: {backend: s3, s3: {region: r, bucket: b, regionendpoint: 'http://127.0.0.1:1', accesskey: %s, secretkey: %s}}}",
		"slip.yml":  "storage: {s3: {region: r, bucket: b, accesskey: %s, secretkye: %s}}",
		"type.yml":  "storage: {s3: {region: r, bucket: b, accesskey: [%s], secretkey: {%s: x}}}",
		"torn.yml":  "storage: {s3: {region: r, bucket: b, accesskey: %s, secretkey: '%s",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "%s", mark)), 0o600); err != nil {
				t.Fatal(err)
			}
			everyCommand(t, path, true, mark)
		})
	}
	for _, raw := range []string{
		"s3://id:" + mark + "@bucket/x?region=r", "s3://bucket?secretkey=" + mark, "s3://bucket?region=r&" + mark + "=x", "azblob://c?accountkey=" + mark,
		"azblob://c?sig=" + mark, "swift://u:" + mark + "@c", "swift://c?password=" + mark, "oss://b?accesskeysecret=" + mark, "gs://b?credentials=" + mark,
		"gs://" + mark + "@b", "ftp://u:" + mark + "@h/x", "s3://b?endpoint=http://u:" + mark + "@127.0.0.1:1",
	} {
		if shown := location.Redacted(raw); strings.Contains(shown, mark) && !strings.Contains(raw, "&"+mark) {
			t.Errorf("%s is shown for %s", shown, raw)
		}
		out := launchWith(t, nil, "inspect", raw, "--log-level", "debug")
		ended(t, out)
		if form := shows(out.out.String(), mark); form != "" && !strings.Contains(raw, "&"+mark) { // there it is the name of an option
			t.Errorf("inspect %s shows it, %s:\n%s", raw, form, out.out)
		}
	}
}

// Nor where it works.
func TestNoSecretOfAServiceThatWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	s := servers.VersityGW(t)
	s.Credentials(t)
	s.Bucket(t, "images")
	everyCommand(t, locationOf(s.Endpoint, "images", "root"), false, s.SecretKey)
	a := servers.Azurite(t)
	a.Container(t, "images")
	t.Setenv("AZURE_STORAGE_ACCOUNT", a.Account)
	t.Setenv("AZURE_STORAGE_KEY", a.Key)
	everyCommand(t, at("azblob", "images", "root", "accountname", a.Account, "serviceurl", a.Endpoint), false, a.Key)
}
