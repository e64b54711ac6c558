package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

	process *process
	http    *http.Client
}

// VersityGW starts versitygw on a directory: strict about checksums, a real
// gateway to a file system. A key cannot be beside others below it, and a name
// in it has at most 255 bytes.
func VersityGW(t testing.TB) *S3Server {
	t.Helper()
	program := Tool(t, "versitygw")
	return startS3(t, "/health", func(s *S3Server, addr string) *exec.Cmd {
		cmd := exec.Command(program, "--port", addr, "--health", "/health", "--quiet", "posix", s.Dir)
		cmd.Env = append(environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
		return cmd
	})
}

// MinIO starts MinIO on a directory. It takes any key, and lists unfinished
// uploads of one exact key only.
func MinIO(t testing.TB) *S3Server {
	t.Helper()
	program := Tool(t, "minio")
	return startS3(t, "/minio/health/ready", func(s *S3Server, addr string) *exec.Cmd {
		cmd := exec.Command(program, "server", "--address", addr, "--quiet", s.Dir)
		cmd.Env = append(environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey,
			"MINIO_UPDATE=off", "MINIO_BROWSER=off", "MINIO_CALLHOME_ENABLE=off", "HOME="+s.Dir+".home")
		return cmd
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

// Bucket makes a bucket.
func (s *S3Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if _, err := s.Client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server and waits for its end. A second Stop does nothing.
func (s *S3Server) Stop() {
	s.process.stop()
	s.http.CloseIdleConnections()
}

func startS3(t testing.TB, health string, command func(s *S3Server, addr string) *exec.Cmd) *S3Server {
	t.Helper()
	// A free port may be taken by another process before the server has it.
	for range 3 {
		s, addr := newS3(t)
		if s.start(t, health, command(s, addr)) {
			t.Cleanup(s.Stop)
			return s
		}
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
	s.Client = s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: "us-east-1", UsePathStyle: true, HTTPClient: s.http, Retryer: aws.NopRetryer{},
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return s, addr
}

func (s *S3Server) start(t testing.TB, health string, cmd *exec.Cmd) bool {
	out, err := os.Create(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if s.process, err = begin(cmd); err != nil {
		t.Fatal(err)
	}
	if err = s.answers(t.Context(), health); err == nil {
		return true
	}
	s.Stop()
	log, _ := os.ReadFile(s.Log)
	t.Logf("%s did not answer: %v: %s", cmd, err, log)
	return false
}

// answers waits up to 20 seconds, which a machine busy with -race may need.
// Only this server knows its keys, so it is no other that listens there.
func (s *S3Server) answers(ctx context.Context, health string) error {
	err := fmt.Errorf("not within its time")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		resp, e := s.http.Get(s.Endpoint + health)
		if e == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				if _, err = s.Client.ListBuckets(ctx, &s3.ListBucketsInput{}); err == nil {
					return nil
				}
			}
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}
