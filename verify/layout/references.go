package layout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// references collects, up to the first error.
type references struct {
	all  []Reference
	seen map[Reference]bool
	err  error
}

// descriptor is an entry of any shape; blobSum is schema 1's only field.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	BlobSum   string   `json:"blobSum"`
	Size      *int64   `json:"size"`
	URLs      []string `json:"urls"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`
}

// one adds the field that is a single descriptor, if it is there.
func (r *references) one(field string, raw json.RawMessage, role Role) {
	if r.err != nil || !has(raw) {
		return
	}
	var d descriptor
	if err := json.Unmarshal(raw, &d); err != nil {
		r.err = fmt.Errorf("%s: %w", field, err)
		return
	}
	r.add(field, d, role)
}

// list adds the entries of a field that is an array. They are decoded one by
// one, so that the limit holds before the memory is gone.
func (r *references) list(field string, raw json.RawMessage, s shape) {
	if r.err != nil || !has(raw) {
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		r.err = fmt.Errorf("%s: not an array: %s", field, quote(string(raw)))
		return
	}
	for i := 0; r.err == nil && dec.More(); i++ {
		if i == MaxReferences {
			r.err = fmt.Errorf("%s: more than %d entries", field, MaxReferences)
			return
		}
		var d descriptor
		if err := dec.Decode(&d); err != nil {
			r.err = fmt.Errorf("%s[%d]: %w", field, i, err)
			return
		}
		role := Layer
		if s == index {
			role = entryRole(d.MediaType)
		}
		r.add(fmt.Sprintf("%s[%d]", field, i), d, role)
	}
}

// add checks a descriptor and adds it, unless it was there already: images
// repeat their empty layers.
func (r *references) add(field string, d descriptor, role Role) {
	sum, name := d.Digest, "digest"
	if strings.HasPrefix(field, "fsLayers") {
		sum, name = d.BlobSum, "blobSum"
	}
	if err := checkDigest(sum); err != nil {
		r.err = fmt.Errorf("%s.%s: %w: %s", field, name, err, quote(sum))
		return
	}
	size := int64(-1)
	if d.Size != nil {
		size = *d.Size
		if size < 0 {
			r.err = fmt.Errorf("%s.size: negative: %d", field, size)
			return
		}
	}
	ref := Reference{
		Digest:    digest.Digest(sum),
		Size:      size,
		MediaType: d.MediaType,
		Role:      role,
		Foreign:   role == Layer && field != "config" && isForeign(d.MediaType) && len(d.URLs) > 0,
	}
	if p := d.Platform; p != nil && p.OS+p.Architecture != "" {
		ref.Platform = strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
	}
	if r.seen[ref] {
		return
	}
	if r.seen == nil {
		r.seen = make(map[Reference]bool)
	}
	r.seen[ref] = true
	r.all = append(r.all, ref)
}
