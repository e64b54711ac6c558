package servers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Ceph starts a Ceph of one monitor, one manager, one device in a sparse file,
// and RADOS Gateway before them; Dir is the device. It takes some ten seconds
// and 600 MB, so it is started only where REGFERRY_CEPH is set, as make
// test-ceph does.
func Ceph(t testing.TB) *S3Server {
	t.Helper()
	if os.Getenv("REGFERRY_CEPH") == "" {
		t.Skip("runs by make test-ceph only")
	}
	for _, name := range []string{"ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "ceph", "monmaptool", "radosgw-admin"} {
		Tool(t, name)
	}
	return startS3(t, "/", func(s *S3Server, addr string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		c := &ceph{S3Server: s, dir: filepath.Dir(s.Dir), id: uuid(), monitor: freeAddr(t), gateway: addr}
		return c.launch(ctx)
	})
}

// ceph is how one is configured: all of it below dir.
type ceph struct {
	*S3Server
	dir              string
	id               string
	monitor, gateway string // addresses
}

// launch begins the daemons in the order in which they need each other.
func (c *ceph) launch(ctx context.Context) error {
	if err := c.configure(); err != nil {
		return err
	}
	monmap, device := c.path("monmap"), uuid()
	steps := []func() error{
		func() error {
			return c.run(ctx, "monmaptool", "--create", "--fsid", c.id, "--add", "a", c.monitor, monmap)
		},
		func() error {
			return c.run(ctx, "ceph-mon", "--mkfs", "--id", "a", "--monmap", monmap, "--keyring", c.path("keyring"))
		},
		func() error { return c.daemon("ceph-mon", "--id", "a") },
		func() error { return c.run(ctx, "ceph", "osd", "new", device) },
		func() error { return c.run(ctx, "ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", device) },
		func() error { return c.daemon("ceph-osd", "--id", "0") },
		func() error { return c.daemon("ceph-mgr", "--id", "x") },
		func() error { return c.daemon("radosgw", "--name", "client.rgw") },
		func() error {
			return c.run(ctx, "radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", "--access-key", c.AccessKey, "--secret", c.SecretKey)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *ceph) path(name string) string { return filepath.Join(c.dir, name) }

func (c *ceph) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, append([]string{"--conf", c.path("ceph.conf")}, args...)...)
	if name == "monmaptool" { // knows no configuration
		cmd = exec.CommandContext(ctx, name, args...)
	}
	cmd.Env = append(environ(), "CEPH_CONF="+c.path("ceph.conf"))
	return cmd
}

func (c *ceph) run(ctx context.Context, name string, args ...string) error {
	out, err := c.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// daemon begins one that stays in the foreground, a child of this process.
func (c *ceph) daemon(name string, args ...string) error {
	return c.begin(c.command(context.Background(), name, append(args, "-f")...))
}

// configure writes the configuration and the keys of all daemons, which the
// monitor takes over when it makes its store.
func (c *ceph) configure() error {
	for _, name := range []string{"mon", "mgr", "rgw", "run"} {
		if err := os.Mkdir(c.path(name), 0o755); err != nil {
			return err
		}
	}
	device, err := os.Create(filepath.Join(c.Dir, "block"))
	if err != nil {
		return err
	}
	defer device.Close()
	if err := device.Truncate(10 << 30); err != nil {
		return err
	}
	keyring := key("mon.", `mon = "allow *"`) +
		key("client.admin", `mon = "allow *"`, `osd = "allow *"`, `mgr = "allow *"`) +
		key("mgr.x", `mon = "allow profile mgr"`, `osd = "allow *"`, `mds = "allow *"`) +
		key("osd.0", `mon = "allow profile osd"`, `mgr = "allow profile osd"`, `osd = "allow *"`) +
		key("client.rgw", `mon = "allow rw"`, `osd = "allow rwx"`, `mgr = "allow rw"`)
	if err := os.WriteFile(c.path("keyring"), []byte(keyring), 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.path("ceph.conf"), []byte(c.conf()), 0o600)
}

// key is a section of a keyring. A key is its type (1, AES), the time it was
// made at, its length, and 16 bytes.
func key(name string, caps ...string) string {
	raw := binary.LittleEndian.AppendUint16(nil, 1)
	raw = binary.LittleEndian.AppendUint32(raw, uint32(time.Now().Unix()))
	raw = binary.LittleEndian.AppendUint32(raw, 0)
	raw = binary.LittleEndian.AppendUint16(raw, 16)
	var secret [16]byte
	_, _ = rand.Read(secret[:])
	text := fmt.Sprintf("[%s]\nkey = %s\n", name, base64.StdEncoding.EncodeToString(append(raw, secret[:]...)))
	for _, c := range caps {
		text += "caps " + c + "\n"
	}
	return text
}

// conf has one copy of each object, few placement groups, and all on loopback.
// radosgw hangs without authentication among the daemons, so there are keys.
func (c *ceph) conf() string {
	host, _, _ := net.SplitHostPort(c.monitor)
	return strings.NewReplacer("DIR", c.dir, "DEVICE", c.Dir, "ID", c.id, "MONITOR", c.monitor, "HOST", host, "GATEWAY", c.gateway).Replace(`[global]
fsid = ID
mon host = MONITOR
public addr = HOST
cluster addr = HOST
keyring = DIR/keyring
run dir = DIR/run
admin socket = DIR/run/$name.asok
pid file =
log file =
log to stderr = true
crash dir = DIR/run
mon data = DIR/mon
mgr data = DIR/mgr
mgr initial modules =
osd data = DEVICE
osd objectstore = bluestore
bluestore block size = 10737418240
osd memory target = 939524096
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = false
[client.rgw]
rgw data = DIR/rgw
rgw frontends = beast endpoint=GATEWAY
rgw enable apis = s3
`)
}

// uuid is a random one (version 4).
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
