package fakeoss

import (
	"compress/gzip"
	"net/http"
	"os"
	"slices"
	"strings"
)

// texts are the types that the service packs for who accepts that, from 1 KB on.
var texts = []string{
	"text/cache-manifest", "text/xml", "text/plain", "text/css", "application/javascript", "application/x-javascript",
	"application/rss+xml", "application/json", "text/json",
}

func (c *call) packs(o *object) bool {
	return strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") && o.size >= 1<<10 &&
		slices.Contains(texts, o.kept.Get("Content-Type")) && c.r.Header.Get("Range") == ""
}

// pack answers without the length and the ETag, which would be of something else.
func (c *call) pack(o *object, files []*os.File) *fault {
	h := c.w.Header()
	h.Del("ETag")
	h.Set("Content-Encoding", "gzip")
	c.w.WriteHeader(http.StatusOK)
	packed := gzip.NewWriter(c.w)
	_ = o.copyTo(packed, files, 0, o.size)
	_ = packed.Close()
	return nil
}
