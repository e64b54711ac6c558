//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends/backendtest/fakeoss"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestRefusedRights asks with credentials that are good, but have expired, are
// of another region, or allow less than is asked.
func TestRefusedRights(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, system := range []func(*testing.T) []refusal{refusedByS3, refusedByMinIO, refusedByAzure, refusedBySwift, refusedByOSS, refusedByGCS} {
		for _, r := range system(t) {
			t.Run(r.name, r.run)
		}
	}
}

// refusedByS3 has a user who may read a bucket, and one who may nothing.
func refusedByS3(t *testing.T) []refusal {
	s := servers.VersityGWOfUsers(t)
	s.Bucket(t, "images")
	fill(t, locationOf(s.Endpoint, "images", "full"), s.Env())
	reader, nobody := s.User(t), s.User(t)
	policy := fmt.Sprintf(`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": [%q]},
		"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::images", "arn:aws:s3:::images/*"]}]}`, reader.AccessKey)
	if _, err := s.Client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: new("images"), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	at := locationOf(s.Endpoint, "images", "full")
	return []refusal{
		{"s3, another region", strings.Replace(at, "us-east-1", "eu-west-7", 1), s.Env(), asBoth, "eu-west-7.*region"},
		{"s3, no right to write", at, reader.Env(), asDestination, "write a scratch object: AccessDenied.*denied.*check the names, the credentials and their rights"},
		{"s3, no right to read", at, nobody.Env(), asSource, "AccessDenied.*denied.*check the names, the credentials and their rights"},
	}
}

// refusedByMinIO: a session lasts a quarter of an hour there at least, so its
// token is one that is wrong and none that has expired. Any region will do.
func refusedByMinIO(t *testing.T) []refusal {
	s := servers.MinIO(t)
	s.Bucket(t, "images")
	at := locationOf(s.Endpoint, "images", "x")
	return []refusal{
		{"minio, no such session", at, append(s.Env(), "AWS_SESSION_TOKEN=expired"), asBoth, "(?i)token.*denied"},
	}
}

func refusedByAzure(t *testing.T) []refusal {
	s := servers.Azurite(t)
	c := s.Container(t, "images")
	at := at("azblob", "images", "full", "accountname", s.Account, "serviceurl", s.Endpoint)
	fill(t, at, []string{"AZURE_STORAGE_ACCOUNT=" + s.Account, "AZURE_STORAGE_KEY=" + s.Key})
	signed := func(may sas.ContainerPermissions, until time.Duration) []string {
		began := time.Now().Add(-2 * time.Hour)
		address, err := c.GetSASURL(may, time.Now().Add(until), &container.GetSASURLOptions{StartTime: &began})
		if err != nil {
			t.Fatal(err)
		}
		_, query, _ := strings.Cut(address, "?")
		return []string{"AZURE_STORAGE_ACCOUNT=" + s.Account, "AZURE_STORAGE_KEY=", "AZURE_STORAGE_CONNECTION_STRING=", "AZURE_STORAGE_SAS_TOKEN=" + query}
	}
	all := sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}
	return []refusal{
		{"azure, an expired signature", at, signed(all, -time.Hour), asBoth, "has expired.*denied"},
		{"azure, no right to write", at, signed(sas.ContainerPermissions{Read: true, List: true}, time.Hour), asDestination, "write a scratch object: AuthorizationPermissionMismatch.*or the signature its rights"},
		{"azure, no right to list", at, signed(sas.ContainerPermissions{Read: true}, time.Hour), asSource, "AuthorizationPermissionMismatch.*or the signature its rights"},
	}
}

// refusedBySwift has a user of the account who may read one container.
func refusedBySwift(t *testing.T) []refusal {
	s := servers.Swift(t)
	account := s.Account(t)
	for name, reads := range map[string]string{"images": "test:reader,.rlistings", "closed": ""} {
		if err := account.ContainerCreate(t.Context(), name, map[string]string{"X-Container-Read": reads}); err != nil {
			t.Fatal(err)
		}
	}
	as := func(name, user string) string {
		return at("swift", name, "full", "authurl", s.AuthURL, "username", user)
	}
	env := []string{"OS_PASSWORD=" + s.Key}
	fill(t, as("images", s.User), env)
	return []refusal{
		{"swift, no right to write", as("images", "test:reader"), env, asDestination, "write a scratch object: Forbidden.*denied.*check the names, the credentials and their rights"},
		{"swift, no right to read", as("closed", "test:reader"), env, asSource, "Forbidden.*denied.*check the names, the credentials and their rights"},
	}
}

func refusedByOSS(t *testing.T) []refusal {
	s := servers.OSS(t)
	s.Bucket(t, "images")
	s.Fake.Know("STS.old", fakeoss.Key{Secret: "secret", Token: "token", Expires: time.Now().Add(-time.Minute)})
	at := func(region string) string {
		return at("oss", "images", "x", "region", region, "endpoint", s.Endpoint)
	}
	old := []string{"OSS_ACCESS_KEY_ID=STS.old", "OSS_ACCESS_KEY_SECRET=secret", "OSS_SESSION_TOKEN="}
	return []refusal{
		{"oss, another region", at("cn-beijing"), s.Env(), asBoth, "signing region.*give the region that the bucket is in"},
		{"oss, an expired token", at(s.Region), append(old, "OSS_SESSION_TOKEN=token"), asBoth, "SecurityTokenExpired.*get a new security token"},
		{"oss, no token", at(s.Region), old, asBoth, "InvalidSecurityToken"},
	}
}

// refusedByGCS is by who gives the tokens, since the emulator asks for none.
func refusedByGCS(t *testing.T) []refusal {
	s := servers.GCS(t)
	s.Bucket(t, "images")
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}`)
	}))
	t.Cleanup(tokens.Close)
	key := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(key, servers.ServiceAccount(t, tokens.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key+".cut", []byte(`{"type": "service_account",`), 0o600); err != nil {
		t.Fatal(err)
	}
	return []refusal{
		{"gcs, no token", at("gs", "images", "x", "endpoint", s.Endpoint, "keyfile", key), nil, asBoth, "invalid_grant.*denied"},
		{"gcs, half a key file", at("gs", "images", "x", "endpoint", s.Endpoint, "keyfile", key+".cut"), nil, asBoth, "account.json.cut"},
	}
}

// fill copies the example to a location, so that there is something to read.
func fill(t *testing.T, to string, env []string) {
	t.Helper()
	p := launchWith(t, env, "migrate", "--from", "../../examples/registry", "--to", to, "--checkpoint", "none", "--log-level", "error")
	if ended(t, p); p.exit != exitDone {
		t.Fatalf("exit %d\n%s", p.exit, p.out)
	}
}
