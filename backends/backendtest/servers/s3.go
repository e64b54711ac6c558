package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3Server is a running service with S3's API, with keys made for it alone.
type S3Server struct {
	Endpoint             string // http://127.0.0.1:port
	AccessKey, SecretKey string
	Dir                  string     // its data: a directory for each bucket
	Log                  string     // the file its output goes to
	Client               *s3.Client // by path, without retries

	processes []*process
	http      *http.Client
}

// VersityGW starts versitygw on a directory: strict about checksums, a real
// gateway to a file system. A key cannot be beside others below it, and a name
// in it has at most 255 bytes.
func VersityGW(t testing.TB) *S3Server {
	t.Helper()
	return versityGW(t)
}

// VersityGWOfUsers is versitygw that can have users, see [S3Server.User].
func VersityGWOfUsers(t testing.TB) *S3Server {
	t.Helper()
	return versityGW(t, "--iam-dir", t.TempDir())
}

func versityGW(t testing.TB, args ...string) *S3Server {
	t.Helper()
	program := Tool(t, "versitygw")
	return startS3(t, "/health", func(s *S3Server, addr string) error {
		args := append(args, "--port", addr, "--health", "/health", "--quiet", "--keep-alive", "posix", s.Dir)
		cmd := exec.Command(program, args...)
		cmd.Env = append(environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
		return s.begin(cmd)
	})
}

// MinIO starts MinIO on a directory. It takes any key, and lists unfinished
// uploads of one exact key only.
func MinIO(t testing.TB) *S3Server {
	t.Helper()
	return minIO(t, nil)
}

// MinIOBeside is MinIO with the keys of another server: one process has one
// chain of credentials, for both sides of a migration.
func MinIOBeside(t testing.TB, other *S3Server) *S3Server {
	t.Helper()
	return minIO(t, other)
}

func minIO(t testing.TB, other *S3Server) *S3Server {
	t.Helper()
	program := Tool(t, "minio")
	return startS3(t, "/minio/health/ready", func(s *S3Server, addr string) error {
		if other != nil {
			s.AccessKey, s.SecretKey = other.AccessKey, other.SecretKey
			s.Client = s.client()
		}
		cmd := exec.Command(program, "server", "--address", addr, "--quiet", s.Dir)
		cmd.Env = append(environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey,
			"MINIO_UPDATE=off", "MINIO_BROWSER=off", "MINIO_CALLHOME_ENABLE=off", "HOME="+s.Dir+".home")
		return s.begin(cmd)
	})
}

// Credentials sets the environment of this process, until the test ends, so
// that the AWS chain finds the keys of this server and nothing else.
func (s *S3Server) Credentials(t testing.TB) {
	t.Helper()
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// Env is the same for another process.
func (s *S3Server) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_SESSION_TOKEN=", "AWS_REGION=us-east-1",
		"AWS_PROFILE=", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// User makes a user of VersityGWOfUsers, who may do what policies let him, and
// returns the server as he has it.
func (s *S3Server) User(t testing.TB) *S3Server {
	t.Helper()
	u := &S3Server{Endpoint: s.Endpoint, AccessKey: rand.Text(), SecretKey: rand.Text(), Dir: s.Dir, Log: s.Log, http: s.http}
	u.Client = u.client()
	cmd := exec.Command(Tool(t, "versitygw"), "admin", "--endpoint-url", s.Endpoint,
		"create-user", "--access", u.AccessKey, "--secret", u.SecretKey, "--role", "user")
	cmd.Env = append(environ(), "ADMIN_ACCESS_KEY_ID="+s.AccessKey, "ADMIN_SECRET_ACCESS_KEY="+s.SecretKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("making a user: %v: %s", err, out)
	}
	return u
}

// Bucket makes a bucket.
func (s *S3Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if _, err := s.Client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server and waits for its end. A second Stop does nothing.
func (s *S3Server) Stop() {
	var wg sync.WaitGroup
	for _, p := range s.processes {
		wg.Go(p.stop)
	}
	wg.Wait()
	s.http.CloseIdleConnections()
}

// startS3 has launch begin the processes of a server that listens on addr.
func startS3(t testing.TB, health string, launch func(s *S3Server, addr string) error) *S3Server {
	t.Helper()
	// A free port may be taken by another process before the server has it.
	for range 3 {
		s, addr := newS3(t)
		err := launch(s, addr)
		if err == nil {
			err = s.answers(t.Context(), health)
		}
		if err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		s.Stop()
		log, _ := os.ReadFile(s.Log)
		t.Logf("%s did not answer: %v: %s", s.Endpoint, err, log)
	}
	t.Fatal("the S3 server does not start")
	return nil
}

func newS3(t testing.TB) (*S3Server, string) {
	addr, dir := freeAddr(t), t.TempDir()
	s := &S3Server{
		Endpoint: "http://" + addr, AccessKey: rand.Text(), SecretKey: rand.Text(),
		Dir: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Client = s.client()
	return s, addr
}

func (s *S3Server) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: "us-east-1", UsePathStyle: true, HTTPClient: s.http, Retryer: aws.NopRetryer{},
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// begin starts one of the server's processes.
func (s *S3Server) begin(cmd *exec.Cmd) error {
	out, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	p, err := begin(cmd)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

// listens waits, as answers does, for the servers behind the one that is asked.
func (s *S3Server) listens(addrs ...string) error {
	for _, addr := range addrs {
		err := s.soon(func() error {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// answers waits until the server does. Only it knows its keys, so it is no
// other that listens there.
func (s *S3Server) answers(ctx context.Context, health string) error {
	return s.soon(func() error {
		resp, err := s.http.Get(s.Endpoint + health)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s says %s", health, resp.Status)
		}
		_, err = s.Client.ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	})
}

// soon tries for up to a minute, which a machine busy with -race may need.
func (s *S3Server) soon(try func() error) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		switch {
		case err == nil:
			return nil
		case slices.ContainsFunc(s.processes, (*process).ended):
			return fmt.Errorf("it ended")
		case time.Now().After(deadline):
			return err
		}
	}
}
