package fakeoss

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

type listed struct {
	XMLName        xml.Name `xml:"ListBucketResult"`
	Name, Prefix   string
	Delimiter      string
	Marker         string `xml:",omitempty"`
	StartAfter     string `xml:",omitempty"`
	MaxKeys        int
	EncodingType   string `xml:",omitempty"`
	IsTruncated    bool
	NextMarker     string `xml:",omitempty"`
	Continuation   string `xml:"ContinuationToken,omitempty"`
	Next           string `xml:"NextContinuationToken,omitempty"`
	KeyCount       int    `xml:",omitempty"`
	Contents       []content
	CommonPrefixes []struct{ Prefix string }
}

type content struct {
	Key, LastModified, ETag, Type string
	Size                          int64
	StorageClass                  string
}

func (c *call) listObjects() *fault {
	out, last, fault := c.page(c.r.URL.Query().Get("marker"))
	if fault != nil {
		return fault
	}
	out.Marker = c.encode(c.r.URL.Query().Get("marker"))
	if out.IsTruncated {
		out.NextMarker = c.encode(last)
	}
	return c.answer(out)
}

func (c *call) listObjectsV2() *fault {
	q := c.r.URL.Query()
	after := q.Get("start-after")
	if q.Has("continuation-token") {
		raw, err := base64.StdEncoding.DecodeString(q.Get("continuation-token"))
		if err != nil {
			return invalid("The specified continuation-token is invalid.")
		}
		after = string(raw)
	}
	out, last, fault := c.page(after)
	if fault != nil {
		return fault
	}
	out.StartAfter, out.Continuation = c.encode(q.Get("start-after")), q.Get("continuation-token")
	out.KeyCount = len(out.Contents) + len(out.CommonPrefixes)
	if out.IsTruncated {
		out.Next = base64.StdEncoding.EncodeToString([]byte(last))
	}
	return c.answer(out)
}

// encode is for names in answers, which XML may not be able to hold.
func (c *call) encode(name string) string {
	if c.r.URL.Query().Get("encoding-type") == "url" {
		return url.QueryEscape(name)
	}
	return name
}

// most is a number of things asked for, 1 to 1000.
func most(text string, otherwise int) (int, bool) {
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0 && n <= 1000
}

// page lists what comes after a name; the last name is that of an object or of
// a common prefix.
func (c *call) page(after string) (out listed, last string, f *fault) {
	q := c.r.URL.Query()
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	n, ok := most(q.Get("max-keys"), 100)
	if !ok {
		return out, "", invalid("Argument max-keys must be an integer between 1 and 1000.")
	}
	out = listed{Name: c.name, Prefix: c.encode(prefix), Delimiter: c.encode(delimiter), MaxKeys: n, EncodingType: q.Get("encoding-type")}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	keys := c.b.keys()
	i, _ := slices.BinarySearch(keys, max(after, prefix))
	for ; i < len(keys) && strings.HasPrefix(keys[i], prefix); i++ {
		key, group := keys[i], ""
		if at := strings.Index(key[len(prefix):], delimiter); delimiter != "" && at >= 0 {
			group = key[:len(prefix)+at+len(delimiter)]
		}
		if key <= after && after != "" || group != "" && group <= after {
			continue
		}
		if len(out.Contents)+len(out.CommonPrefixes) == n {
			out.IsTruncated = true
			return out, last, nil
		}
		if group != "" {
			out.CommonPrefixes = append(out.CommonPrefixes, struct{ Prefix string }{c.encode(group)})
			last, after = group, group
			continue
		}
		o := c.b.objects[key]
		out.Contents = append(out.Contents, content{
			Key: c.encode(key), LastModified: stamp(o.modified), ETag: `"` + o.etag + `"`, Type: o.kind, Size: o.size,
			StorageClass: o.kept.Get("X-Oss-Storage-Class"),
		})
		last = key
	}
	return out, last, nil
}

func (b *bucket) keys() []string {
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.objects))
	}
	return b.sorted
}
