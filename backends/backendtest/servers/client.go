package servers

import (
	"bytes"
	"context"
	_ "crypto/sha512" // manifests may be named by it
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Client speaks the HTTP API of a registry without authentication. It is safe
// for concurrent use.
type Client struct {
	URL  string       // http://127.0.0.1:port
	HTTP *http.Client // nil means http.DefaultClient
}

// StatusError is an answer that is not the one asked for.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string // at most 512 bytes
}

func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, e.Body))
}

// Manifest media types, all of which a client says it accepts: registry 2.8
// converts or refuses what was not asked for.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	ociArtifact    = "application/vnd.oci.artifact.manifest.v1+json"
)

var accept = strings.Join([]string{v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, dockerManifest, dockerList, ociArtifact, dockerSchema1}, ", ")

// Repositories lists the catalog, all pages of it.
func (c Client) Repositories(ctx context.Context) ([]string, error) {
	return c.pages(ctx, "/v2/_catalog?n=1000")
}

// Tags lists the tags of a repository, all pages of them. A repository without
// any answers 404, which is a *[StatusError].
func (c Client) Tags(ctx context.Context, repository string) ([]string, error) {
	return c.pages(ctx, "/v2/"+repository+"/tags/list?n=1000")
}

func (c Client) pages(ctx context.Context, path string) ([]string, error) {
	var all []string
	for path != "" {
		resp, err := c.do(ctx, http.MethodGet, path, "", nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		var page struct{ Repositories, Tags []string }
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		all = append(append(all, page.Repositories...), page.Tags...)
		if path, err = next(resp); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// next is the path of the following page, from a header like
// Link: </v2/_catalog?last=x&n=1000>; rel="next".
func next(resp *http.Response) (string, error) {
	_, rest, ok := strings.Cut(resp.Header.Get("Link"), "<")
	if !ok {
		return "", nil
	}
	link, _, _ := strings.Cut(rest, ">")
	u, err := resp.Request.URL.Parse(link)
	if err != nil {
		return "", fmt.Errorf("link to the next page: %w", err)
	}
	return u.RequestURI(), nil
}

// Manifest reads a manifest by tag or digest, and gives the digest of what came.
func (c Client) Manifest(ctx context.Context, repository, reference string) ([]byte, v1.Descriptor, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v2/"+repository+"/manifests/"+reference, "", nil, http.StatusOK)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	d := v1.Descriptor{MediaType: resp.Header.Get("Content-Type"), Digest: digest.FromBytes(body), Size: int64(len(body))}
	named := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if byDigest := digest.Digest(reference); byDigest.Validate() == nil {
		named = byDigest
	}
	if err := named.Validate(); err != nil {
		return nil, d, fmt.Errorf("manifest %s: digest %q: %w", reference, named, err)
	}
	d.Digest = named.Algorithm().FromBytes(body)
	if d.Digest != named && d.MediaType != dockerSchema1 { // a schema 1 digest leaves the signatures out
		return nil, d, fmt.Errorf("manifest %s: content of %s under the digest %s", reference, d.Digest, named)
	}
	return body, d, nil
}

// PutBlob uploads a blob in one request and gives its descriptor.
func (c Client) PutBlob(ctx context.Context, repository string, content []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))}
	resp, err := c.do(ctx, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return d, err
	}
	resp.Body.Close()
	upload, err := resp.Location()
	if err != nil {
		return d, err
	}
	query := upload.Query()
	query.Set("digest", d.Digest.String())
	upload.RawQuery = query.Encode()
	return d, c.put(ctx, upload.RequestURI(), "application/octet-stream", content)
}

// PutManifest pushes a manifest, byte for byte, under a tag or its digest.
func (c Client) PutManifest(ctx context.Context, repository, reference, mediaType string, body []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return d, c.put(ctx, "/v2/"+repository+"/manifests/"+reference, mediaType, body)
}

// PutImage pushes an OCI image of these layers (config and manifest are made)
// under a tag or, with reference "", its digest. subject may be nil.
func (c Client) PutImage(ctx context.Context, repository, reference, artifactType string, subject *v1.Descriptor, layers ...v1.Descriptor) (v1.Descriptor, error) {
	config, configType := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`), v1.MediaTypeImageConfig
	if artifactType != "" {
		config, configType = []byte("{}"), v1.MediaTypeEmptyJSON
	}
	cd, err := c.PutBlob(ctx, repository, config)
	if err != nil {
		return v1.Descriptor{}, err
	}
	cd.MediaType = configType
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType, Config: cd, Layers: layers, Subject: subject}
	m.SchemaVersion = 2
	body, err := json.Marshal(m)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if reference == "" {
		reference = digest.FromBytes(body).String()
	}
	d, err := c.PutManifest(ctx, repository, reference, m.MediaType, body)
	d.ArtifactType = artifactType
	return d, err
}

// PutIndex pushes an OCI index of manifests under a tag or, with reference "",
// its digest.
func (c Client) PutIndex(ctx context.Context, repository, reference string, manifests ...v1.Descriptor) (v1.Descriptor, error) {
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: manifests}
	index.SchemaVersion = 2
	body, err := json.Marshal(index)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if reference == "" {
		reference = digest.FromBytes(body).String()
	}
	return c.PutManifest(ctx, repository, reference, index.MediaType, body)
}

// DeleteManifest deletes a manifest by its digest, and with it the tags that
// point at it.
func (c Client) DeleteManifest(ctx context.Context, repository string, d digest.Digest) error {
	resp, err := c.do(ctx, http.MethodDelete, "/v2/"+repository+"/manifests/"+d.String(), "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c Client) put(ctx context.Context, path, mediaType string, body []byte) error {
	resp, err := c.do(ctx, http.MethodPut, path, mediaType, body, http.StatusCreated)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// do asks for path, which starts with "/" and may hold a query. The caller
// closes the body of the response.
func (c Client) do(ctx context.Context, method, path, contentType string, body []byte, want int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == want {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	u, _ := url.Parse(path)
	return nil, &StatusError{Method: method, Path: u.Path, Status: resp.StatusCode, Body: string(bytes.TrimSpace(text))}
}
