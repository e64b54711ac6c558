package servers

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	swiftapi "github.com/ncw/swift/v2"
)

// SwiftServer is a running OpenStack Swift: one device, one copy of each
// object, memcached for its tokens. Besides User there is test:reader, with the
// same Key, who may do what a container's ACL lets him.
type SwiftServer struct {
	S3 *S3Server // its s3api; Dir is the device and not a directory for each bucket, Client tries again

	AuthURL   string // of the v1 authentication, with which User and Key get a token for Swift's own API
	User, Key string
}

// Swift starts Swift, of which s3api is a part of the proxy. A bucket is a
// container; the parts of uploads are in another one, bucket+segments.
func Swift(t testing.TB) *SwiftServer {
	t.Helper()
	programs := swiftPrograms(t)
	s := startS3(t, "/healthcheck", func(s *S3Server, addr string) error {
		s.AccessKey = "test:tester" // account and user, of the form tempauth has them in
		s.Client = s.client()
		c := &swift{dir: filepath.Dir(s.Dir), device: s.Dir, proxy: addr, memcached: freeAddr(t), key: s.SecretKey}
		return c.begin(t, s, programs)
	})
	s.Client = s3.New(s.Client.Options(), func(o *s3.Options) { o.Retryer = retry.NewStandard() }) // its object server answers 503 on a busy machine
	return &SwiftServer{S3: s, AuthURL: s.Endpoint + "/auth/v1.0", User: s.AccessKey, Key: s.SecretKey}
}

// Account logs in by the library of a client, to look at what a store did.
func (s *SwiftServer) Account(t testing.TB) *swiftapi.Connection {
	t.Helper()
	return account(t, &swiftapi.Connection{AuthUrl: s.AuthURL, UserName: s.User, ApiKey: s.Key})
}

func account(t testing.TB, c *swiftapi.Connection) *swiftapi.Connection {
	t.Helper()
	c.Transport = &http.Transport{}
	if err := c.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Transport.(*http.Transport).CloseIdleConnections)
	return c
}

func swiftPrograms(t testing.TB) map[string]string {
	t.Helper()
	programs := make(map[string]string)
	for _, name := range []string{"memcached", "swift-account-server", "swift-container-server", "swift-object-server", "swift-proxy-server"} {
		programs[name] = Tool(t, name)
	}
	return programs
}

// swiftRings are the servers behind the proxy, each found by a ring of its own.
var swiftRings = [3]string{"account", "container", "object"}

// swift is how one is configured: all of it below dir.
type swift struct {
	dir, device      string
	proxy, memcached string // addresses
	servers          [3]string
	key              string          // of tempauth's users
	keystone         *KeystoneServer // instead, unless nil
}

// begin starts all servers, as processes of s, and waits for those behind the proxy.
func (c *swift) begin(t testing.TB, s *S3Server, programs map[string]string) error {
	for i := range swiftRings {
		c.servers[i] = freeAddr(t)
	}
	if err := c.configure(); err != nil {
		return err
	}
	for _, cmd := range c.commands(programs) {
		if err := s.begin(cmd); err != nil {
			return err
		}
	}
	return s.listens(c.servers[:]...)
}

func (c *swift) commands(programs map[string]string) []*exec.Cmd {
	host, port, _ := net.SplitHostPort(c.memcached)
	cmds := []*exec.Cmd{exec.Command(programs["memcached"], "-u", username(), "-l", host, "-p", port, "-U", "0", "-m", "64")}
	for _, name := range append(swiftRings[:], "proxy") {
		cmds = append(cmds, exec.Command(programs["swift-"+name+"-server"], c.path(name+"-server.conf"), "-v"))
	}
	for _, cmd := range cmds {
		cmd.Env = environ()
	}
	return cmds
}

// username is who runs this. Both programs want to be told: they would change
// to another user, or, as root, refuse.
func username() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "nobody"
}

func (c *swift) path(name string) string { return filepath.Join(c.dir, name) }

func (c *swift) configure() error {
	if err := os.Mkdir(filepath.Join(c.device, "d1"), 0o755); err != nil {
		return err
	}
	files := map[string]string{"swift.conf": swiftConf, "proxy-server.conf": c.listen(c.proxy) + c.proxyConf()}
	for i, name := range swiftRings {
		files[name+"-server.conf"] = c.listen(c.servers[i]) + fmt.Sprintf(`
devices = %s
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = %[2]s-server
[app:%[2]s-server]
use = egg:swift#%[2]s
`, c.device, name)
		if err := writeRing(c.path(name+".ring.gz"), c.servers[i]); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const swiftConf = `[swift-hash]
swift_hash_path_prefix = regferry
swift_hash_path_suffix = regferry
[storage-policy:0]
name = gold
default = yes
`

// listen is the head of each server's configuration. With no workers a server
// is one process. What it says goes to stderr, by -v; the syslog, without which
// it does not start, is a port where nobody listens.
func (c *swift) listen(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf(`[DEFAULT]
bind_ip = %s
bind_port = %s
workers = 0
user = %s
swift_dir = %s
log_udp_host = 127.0.0.1
log_udp_port = 9
log_level = WARNING`, host, port, username(), c.dir)
}

func (c *swift) proxyConf() string {
	filters := map[string]string{
		"cache":            "use = egg:swift#memcache\nmemcache_servers = " + c.memcached + patience,
		"tempauth":         "user_test_tester = " + c.key + " .admin\nuser_test_reader = " + c.key + "\nstorage_url_scheme = http",
		"s3api":            "location = us-east-1\ns3_acl = false",
		"dlo":              "rate_limit_after_segment = 1000", // by default one of a second after ten
		"versioned_writes": "allow_versioned_writes = true",
	}
	auth := "s3api tempauth"
	if c.keystone != nil {
		auth = "authtoken keystoneauth"
		filters["authtoken"] = c.authtoken()
		filters["keystoneauth"] = "operator_roles = admin, member"
	}
	pipeline := strings.Fields("catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl " + auth + " copy slo dlo versioned_writes symlink")
	var b strings.Builder
	fmt.Fprintf(&b, "\n[pipeline:main]\npipeline = %s proxy-server\n", strings.Join(pipeline, " "))
	b.WriteString(proxyApp)
	for _, name := range pipeline {
		fmt.Fprintf(&b, "[filter:%s]\n", name)
		if f := filters[name]; !strings.HasPrefix(f, "use = ") && !strings.HasPrefix(f, "paste.") {
			fmt.Fprintf(&b, "use = egg:swift#%s\n", name)
		}
		b.WriteString(filters[name] + "\n")
	}
	return b.String()
}

// authtoken lets requests without a token pass, to be refused as Swift does.
func (c *swift) authtoken() string {
	return fmt.Sprintf(`paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = %[1]s
auth_url = %[1]s
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = swift
password = %[2]s
delay_auth_decision = True
cache = swift.cache
include_service_catalog = False`, c.keystone.AuthURL, c.keystone.serviceUser)
}

// patience with memcached, which has the tokens: by default one that takes no
// connection within 0.3 seconds, ten times, is let go of for a minute, in which
// every token is unknown.
const patience = `
connect_timeout = 10
pool_timeout = 30
io_timeout = 30
error_suppression_limit = 1000000`

// By default the proxy gives a server half a second to take a connection, and
// lets go of one for a minute that failed ten times: then a busy machine, or a
// start in which the proxy was the first, is 503 for all that follows.
const proxyApp = `[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 30
error_suppression_limit = 1000000
`

// writeRing writes a ring of one device that has all partitions, of which
// there are 16, as Swift's RingData.serialize_v1 does. swift-ring-builder takes
// three Python processes for each of the three.
func writeRing(name, addr string) error {
	const power = 4
	host, text, _ := net.SplitHostPort(addr)
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	about, err := json.Marshal(map[string]any{
		"devs": []map[string]any{{
			"id": 0, "region": 1, "zone": 1, "ip": host, "port": port, "device": "d1", "weight": 1.0, "meta": "",
			"replication_ip": host, "replication_port": port,
		}},
		"part_shift": 32 - power, "replica_count": 1, "byteorder": "little",
	})
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	data := binary.BigEndian.AppendUint16([]byte("R1NG"), 1)
	data = binary.BigEndian.AppendUint32(data, uint32(len(about)))
	data = append(append(data, about...), make([]byte, 2<<power)...)
	if _, err := z.Write(data); err != nil {
		return err
	}
	return z.Close()
}
