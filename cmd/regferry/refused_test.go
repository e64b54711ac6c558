//go:build linux

package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestRefusals asks each service for what it refuses, or where it is not. Each
// ends with one line that says which side it is, what was tried, and what is
// wrong.
func TestRefusals(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	gw, az, sw, al, gc := servers.VersityGW(t), servers.Azurite(t), servers.Swift(t), servers.OSS(t), servers.GCS(t)
	gw.Bucket(t, "images")
	az.Container(t, "images")
	al.Bucket(t, "images")
	gc.Bucket(t, "images")
	if err := sw.Account(t).ContainerCreate(t.Context(), "images", nil); err != nil {
		t.Fatal(err)
	}
	s3Env := []string{"AWS_ACCESS_KEY_ID=" + gw.AccessKey, "AWS_SECRET_ACCESS_KEY=" + gw.SecretKey, "AWS_MAX_ATTEMPTS=2", "AWS_EC2_METADATA_DISABLED=true"}
	azEnv := []string{"AZURE_STORAGE_ACCOUNT=" + az.Account, "AZURE_STORAGE_KEY=" + az.Key}
	swEnv := []string{"OS_PASSWORD=" + sw.Key}
	nowhere := free(t)
	in := func(name string) string {
		return locationOf(gw.Endpoint, name, "x")
	}
	azure := func(name, account, endpoint string) string {
		return at("azblob", name, "x", "accountname", account, "serviceurl", endpoint)
	}
	swift := func(name, user, authurl string) string {
		return at("swift", name, "x", "authurl", authurl, "username", user)
	}
	oss := func(name, endpoint, region string) string {
		return at("oss", name, "x", "region", region, "endpoint", endpoint)
	}
	secure := untrusted(t)
	for _, r := range []refusal{
		{"s3, wrong key", in("images"), append([]string{"AWS_ACCESS_KEY_ID=nobody"}, s3Env[1:]...), asBoth, "UserNotFound.*denied.*check the names, the credentials"},
		{"s3, wrong secret", in("images"), append([]string{"AWS_SECRET_ACCESS_KEY=wrong"}, s3Env[0], s3Env[2]), asBoth, "SignatureDoesNotMatch"},
		{"s3, no bucket", in("nobody"), s3Env, asBoth, "there is no bucket of the name nobody"},
		{"s3, no credentials", in("images"), []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true"}, asBoth, "no AWS credentials: set AWS_ACCESS_KEY_ID"},
		{"s3, nobody there", locationOf("http://"+nowhere, "images", "x"), s3Env, asBoth, "connection refused.*is the address right"},
		{"s3, no TLS there", locationOf(strings.Replace(gw.Endpoint, "http:", "https:", 1), "images", "x"), s3Env, asBoth, "(?i)http response to https.*without TLS: give it with http://"},
		{"s3, no such host", locationOf("http://regferry.invalid:80", "images", "x"), s3Env, asBoth, "regferry.invalid"},
		{"azure, wrong key", azure("images", az.Account, az.Endpoint), []string{azEnv[0], "AZURE_STORAGE_KEY=d3Jvbmc="}, asBoth, "Authoriz|Authentic"},
		{"azure, no container", azure("nobody", az.Account, az.Endpoint), azEnv, asBoth, "nobody"},
		{"azure, no credentials", azure("images", az.Account, az.Endpoint), []string{"AZURE_STORAGE_KEY=", "AZURE_STORAGE_CONNECTION_STRING=", "AZURE_STORAGE_SAS_TOKEN="}, asBoth, "AZURE_STORAGE_KEY"},
		{"swift, wrong password", swift("images", sw.User, sw.AuthURL), []string{"OS_PASSWORD=wrong"}, asBoth, "refuses the credentials"},
		{"swift, no container", swift("nobody", sw.User, sw.AuthURL), swEnv, asBoth, "nobody"},
		{"swift, nobody there", swift("images", sw.User, "http://"+nowhere+"/auth/v1.0"), swEnv, asBoth, "connection refused.*is the address right"},
		{"oss, wrong secret", oss("images", al.Endpoint, al.Region), []string{"OSS_ACCESS_KEY_ID=" + al.AccessKeyID, "OSS_ACCESS_KEY_SECRET=wrong"}, asBoth, "SignatureDoesNotMatch"},
		{"oss, wrong key", oss("images", al.Endpoint, al.Region), []string{"OSS_ACCESS_KEY_ID=nobody", "OSS_ACCESS_KEY_SECRET=wrong"}, asBoth, "InvalidAccessKeyId"},
		{"oss, no bucket", oss("nobody", al.Endpoint, al.Region), al.Env(), asBoth, "there is no bucket of the name nobody"},
		{"gcs, no bucket", at("gs", "nobody", "x", "endpoint", gc.Endpoint, "anonymous", "true"), nil, asBoth, "there is no bucket of the name nobody"},
		{"gcs, no key file", at("gs", "images", "x", "keyfile", "/nonexistent"), nil, asBoth, "/nonexistent"},
		{"s3, an unknown certificate", locationOf(secure, "images", "x"), s3Env, asBoth, notTrusted},
		{"azure, nobody there", azure("images", az.Account, "http://"+nowhere+"/"+az.Account), azEnv, asBoth, "connection refused.*is the address right"},
		{"azure, an unknown certificate", azure("images", az.Account, secure+"/"+az.Account), azEnv, asBoth, notTrusted},
		{"swift, an unknown certificate", swift("images", sw.User, secure+"/auth/v1.0"), swEnv, asBoth, notTrusted},
		{"oss, nobody there", oss("images", "http://"+nowhere, al.Region), al.Env(), asBoth, "connection refused.*is the address right"},
		{"oss, an unknown certificate", oss("images", secure, al.Region), al.Env(), asBoth, notTrusted},
		{"gcs, nobody there", at("gs", "images", "x", "endpoint", "http://"+nowhere, "anonymous", "true"), nil, asBoth, "connection refused.*is the address right"},
		{"gcs, an unknown certificate", at("gs", "images", "x", "endpoint", secure, "anonymous", "true"), nil, asBoth, notTrusted},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel() // most of the time it waits until a client gives up
			r.run(t)
		})
	}
}

// refusal is a location that is refused to somebody.
type refusal struct {
	name, raw string
	env       []string
	as        role
	says      string // a regular expression
}

// role is what a location is asked for.
type role uint8

const (
	asSource role = 1 << iota
	asDestination
	asBoth = asSource | asDestination
)

// run asks for the location. That ends with one line.
func (r refusal) run(t *testing.T) {
	for _, c := range []struct {
		as   role
		args []string
		side string
	}{
		{asSource, []string{"inspect", r.raw}, "source: "},
		{asDestination, []string{"migrate", "--from", "../../examples/registry", "--to", r.raw, "--repository", "none"}, "--to "},
	} {
		if r.as&c.as == 0 {
			continue
		}
		p := launchWith(t, r.env, append(c.args, "--log-level", "error")...)
		ended(t, p)
		text := strings.TrimSpace(p.out.String())
		t.Log(text)
		lines := strings.Split(text, "\n")
		if p.exit != exitSide && p.exit != exitUsage || len(lines) != 1 || !regexp.MustCompile(r.says).MatchString(text) {
			t.Errorf("%s: exit %d, %d lines, want one with %q", c.args[0], p.exit, len(lines), r.says)
		}
		if p.exit == exitSide && !strings.Contains(text, c.side) {
			t.Errorf("%s: it does not say %q", c.args[0], c.side)
		}
	}
}

const notTrusted = "certificate signed by unknown authority.*trust the authority.*SSL_CERT_FILE"

// untrusted is an address with TLS and a certificate that nobody trusts.
func untrusted(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it says of each handshake that it failed
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// free is an address at which nobody is.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
