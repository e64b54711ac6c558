package s3

import (
	"os"
	"path/filepath"
	"testing"
)

// A registry asks AWS where its configuration names no endpoint, so whoever is
// configured like one is not sent elsewhere by the environment or a profile.
func TestConfiguredEndpoint(t *testing.T) {
	at := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(at, []byte("[default]\nregion = r\n[profile other]\nregion = r\naws_access_key_id = k\naws_secret_access_key = s\nendpoint_url = http://profile:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		variable, value string
		o               Options
		want            string
	}{
		{"AWS_ENDPOINT_URL", "http://all:1", Options{}, "http://all:1"},
		{"AWS_ENDPOINT_URL", "http://all:1", Options{OnlyAWS: true}, ""},
		{"AWS_ENDPOINT_URL_S3", "http://s3:1", Options{}, "http://s3:1"},
		{"AWS_ENDPOINT_URL_S3", "http://s3:1", Options{OnlyAWS: true}, ""},
		{"AWS_ENDPOINT_URL_S3", "http://s3:1", Options{Endpoint: "http://own:1"}, "http://own:1"},
		{"AWS_ENDPOINT_URL_S3", "http://s3:1", Options{AccessKeyID: "k", SecretAccessKey: "s"}, ""},
		{"AWS_REGION", "r", Options{Profile: "other"}, "http://profile:1"},
		{"AWS_REGION", "r", Options{Profile: "other", OnlyAWS: true}, ""},
		{"AWS_REGION", "r", Options{}, ""},
	} {
		t.Run(c.variable, func(t *testing.T) {
			for name, value := range map[string]string{
				"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_EC2_METADATA_DISABLED": "true",
				"AWS_CONFIG_FILE": at, "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", c.variable: c.value,
			} {
				t.Setenv(name, value)
			}
			c.o.Bucket, c.o.Region = "b", "r"
			client, conns, err := newClient(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			defer conns.CloseIdleConnections()
			if got := endpointOf(client, c.o); got != c.want {
				t.Errorf("%s=%s, %+v: %q is asked, want %q", c.variable, c.value, c.o, got, c.want)
			}
			o, err := c.o.Configured(t.Context())
			if err != nil || o.Endpoint != c.want {
				t.Errorf("%s=%s, %+v: it is said to be %q, %v, want %q", c.variable, c.value, c.o, o.Endpoint, err, c.want)
			}
		})
	}
}

func TestAddressOf(t *testing.T) {
	for region, want := range map[string]string{
		"eu-south-2": "https://s3.eu-south-2.amazonaws.com", "cn-south-9": "https://s3.cn-south-9.amazonaws.com.cn", "not a name": "",
	} {
		got, err := AddressOf(region)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", region, got, err, want)
		}
	}
}
