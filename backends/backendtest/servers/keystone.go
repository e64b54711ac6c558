package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	swiftapi "github.com/ncw/swift/v2"
)

// KeystoneServer is a running OpenStack Keystone with a Swift that asks it who
// somebody is. User and project are in domains of different names.
type KeystoneServer struct {
	AuthURL               string // of version 3
	User, UserDomain      string
	Password              string
	Project, ProjectOf    string // and the project's domain
	Region                string
	CredentialID, Secret  string // an application credential of the user for the project
	adminKey, serviceUser string
	server                *S3Server // processes and directory; its endpoint is the proxy
}

// Keystone starts Keystone on a file of SQLite, makes a user, a project and an
// application credential, and starts a Swift for them. That takes some ten
// seconds.
func Keystone(t testing.TB) *KeystoneServer {
	t.Helper()
	programs := make(map[string]string)
	for _, name := range []string{"keystone-manage", "keystone-wsgi-public"} {
		programs[name] = Tool(t, name)
	}
	swift := swiftPrograms(t)
	var err error
	for range 3 { // a free port may be taken by another process before the server has it
		k, addr := newKeystone(t)
		if err = k.start(t, programs, swift, addr); err == nil {
			t.Cleanup(k.Stop)
			return k
		}
		k.Stop()
		log, _ := os.ReadFile(k.server.Log)
		t.Logf("Keystone does not start: %v: %.4000s", err, log)
	}
	t.Fatal("Keystone does not start")
	return nil
}

// Stop ends all processes. A second Stop does nothing.
func (k *KeystoneServer) Stop() { k.server.Stop() }

// Account logs in by the library of a client.
func (k *KeystoneServer) Account(t testing.TB) *swiftapi.Connection {
	t.Helper()
	return account(t, &swiftapi.Connection{
		AuthUrl: k.AuthURL, UserName: k.User, ApiKey: k.Password, Domain: k.UserDomain,
		Tenant: k.Project, TenantDomain: k.ProjectOf, Region: k.Region,
	})
}

func newKeystone(t testing.TB) (k *KeystoneServer, addr string) {
	s, proxy := newS3(t)
	addr = freeAddr(t)
	s.Endpoint = "http://" + proxy
	return &KeystoneServer{
		AuthURL: "http://" + addr + "/v3", User: "ferryman", UserDomain: "people", Password: rand.Text(),
		Project: "cargo", ProjectOf: "places", Region: "RegionOne",
		adminKey: rand.Text(), serviceUser: rand.Text(), server: s,
	}, addr
}

func (k *KeystoneServer) start(t testing.TB, programs, swift map[string]string, addr string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	config, err := k.configure()
	if err != nil {
		return err
	}
	manage := func(args ...string) error {
		cmd := exec.CommandContext(ctx, programs["keystone-manage"], append([]string{"--config-file", config}, args...)...)
		cmd.Env = environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("keystone-manage %s: %w: %.2000s", args[0], err, out)
		}
		return nil
	}
	if err := manage("db_sync"); err != nil {
		return err
	}
	if err := k.writeAhead(ctx); err != nil {
		return err
	}
	err = manage("bootstrap", "--bootstrap-password", k.adminKey, "--bootstrap-region-id", k.Region,
		"--bootstrap-admin-url", k.AuthURL, "--bootstrap-internal-url", k.AuthURL, "--bootstrap-public-url", k.AuthURL)
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(programs["keystone-wsgi-public"], "-b", host, "-p", port, "--", "--config-file", config)
	cmd.Env = environ()
	if err := k.server.begin(cmd); err != nil {
		return err
	}
	if err := k.server.listens(addr); err != nil {
		return err
	}
	if err := k.seed(ctx); err != nil {
		return err
	}
	return k.swift(t, swift)
}

// configure writes the configuration, and the keys that keystone-manage would
// take two Python processes for.
func (k *KeystoneServer) configure() (string, error) {
	dir := filepath.Dir(k.server.Dir)
	for _, name := range []string{"fernet", "cred"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return "", err
		}
		for _, key := range []string{"0", "1"} {
			raw := make([]byte, 32)
			_, _ = rand.Read(raw)
			if err := os.WriteFile(filepath.Join(dir, name, key), []byte(base64.URLEncoding.EncodeToString(raw)), 0o600); err != nil {
				return "", err
			}
		}
	}
	config := filepath.Join(dir, "keystone.conf")
	return config, os.WriteFile(config, fmt.Appendf(nil, `[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///%[1]s/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = %[1]s/fernet
[fernet_receipts]
key_repository = %[1]s/fernet
[credential]
key_repository = %[1]s/cred
[cache]
enabled = false
[identity]
password_hash_rounds = 4
`, dir), 0o600)
}

// writeAhead lets SQLite be read while it is written; without, Keystone answers
// 500 with "database is locked" at times.
func (k *KeystoneServer) writeAhead(ctx context.Context) error {
	db := filepath.Join(filepath.Dir(k.server.Dir), "keystone.db")
	out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')", db).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sqlite: %w: %s", err, out)
	}
	return nil
}

type object = map[string]any

// seed makes what a cloud would have: Swift in the catalogue, its user, and ours.
func (k *KeystoneServer) seed(ctx context.Context) error {
	inDefault := object{"id": "default"}
	admin := k.login(ctx, "admin", k.adminKey, inDefault, object{"name": "admin", "domain": inDefault})
	people := admin.create("domains", "domain", object{"name": k.UserDomain})
	places := admin.create("domains", "domain", object{"name": k.ProjectOf})
	service := admin.create("projects", "project", object{"name": "service", "domain_id": "default"})
	project := admin.create("projects", "project", object{"name": k.Project, "domain_id": places})
	swift := admin.create("users", "user", object{"name": "swift", "domain_id": "default", "password": k.serviceUser})
	user := admin.create("users", "user", object{"name": k.User, "domain_id": people, "password": k.Password})
	admin.call(http.MethodPut, "/projects/"+service+"/users/"+swift+"/roles/"+admin.role("admin"), nil)
	admin.call(http.MethodPut, "/projects/"+project+"/users/"+user+"/roles/"+admin.role("member"), nil)
	store := admin.create("services", "service", object{"name": "swift", "type": "object-store"})
	for _, kind := range []string{"public", "internal", "admin"} {
		admin.create("endpoints", "endpoint", object{
			"service_id": store, "interface": kind, "region": k.Region, "url": k.server.Endpoint + "/v1/AUTH_$(project_id)s",
		})
	}
	if admin.err != nil {
		return admin.err
	}
	me := k.login(ctx, k.User, k.Password, object{"name": k.UserDomain}, object{"name": k.Project, "domain": object{"name": k.ProjectOf}})
	k.Secret = rand.Text()
	k.CredentialID = me.create("users/"+user+"/application_credentials", "application_credential", object{"name": "ferry", "secret": k.Secret})
	return me.err
}

// session talks to Keystone until something fails.
type session struct {
	ctx   context.Context
	k     *KeystoneServer
	token string
	err   error
}

func (k *KeystoneServer) login(ctx context.Context, user, password string, domain, project object) *session {
	s := &session{ctx: ctx, k: k}
	_, h := s.call(http.MethodPost, "/auth/tokens", object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": user, "domain": domain, "password": password}}},
		"scope":    object{"project": project},
	}})
	s.token = h.Get("X-Subject-Token")
	return s
}

// create returns the identifier of what it made.
func (s *session) create(kind, one string, what object) string {
	answer, _ := s.call(http.MethodPost, "/"+kind, object{one: what})
	made, _ := answer[one].(object)
	id, _ := made["id"].(string)
	return id
}

func (s *session) role(name string) string {
	answer, _ := s.call(http.MethodGet, "/roles?name="+name, nil)
	roles, _ := answer["roles"].([]any)
	if len(roles) == 0 {
		return ""
	}
	id, _ := roles[0].(object)["id"].(string)
	return id
}

func (s *session) call(method, path string, what object) (object, http.Header) {
	if s.err != nil {
		return nil, nil
	}
	var body io.Reader
	if what != nil {
		b, err := json.Marshal(what)
		if err != nil {
			s.err = err
			return nil, nil
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.k.AuthURL+path, body)
	if err != nil {
		s.err = err
		return nil, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", s.token)
	resp, err := s.k.server.http.Do(req)
	if err != nil {
		s.err = err
		return nil, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		s.err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
		return nil, nil
	}
	var answer object
	_ = json.Unmarshal(b, &answer)
	return answer, resp.Header
}

// swift starts one that trusts this Keystone.
func (k *KeystoneServer) swift(t testing.TB, programs map[string]string) error {
	s := k.server
	c := &swift{dir: filepath.Dir(s.Dir), device: s.Dir, proxy: s.Endpoint[len("http://"):], memcached: freeAddr(t), keystone: k}
	if err := c.begin(t, s, programs); err != nil {
		return err
	}
	return s.soon(func() error {
		resp, err := s.http.Get(s.Endpoint + "/healthcheck")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the proxy says %s", resp.Status)
		}
		return nil
	})
}
