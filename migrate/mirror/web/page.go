package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assets embed.FS

// pages are the page and its files, all in memory.
type pages struct{ files map[string]file } // by path

type file struct {
	data      []byte
	mediaType string
	etag      string
}

// served are the files that the page loads, by the path they are served at.
var served = map[string]struct{ name, mediaType string }{
	"/{$}":               {"page.html", "text/html; charset=utf-8"},
	"/page.css":          {"page.css", "text/css; charset=utf-8"},
	"/page.js":           {"page.js", "text/javascript; charset=utf-8"},
	"/icon.svg":          {"icon.svg", "image/svg+xml"},
	"/uPlot.iife.min.js": {"uPlot.iife.min.js", "text/javascript; charset=utf-8"},
	"/uPlot.min.css":     {"uPlot.min.css", "text/css; charset=utf-8"},
	"/uPlot.LICENSE":     {"uPlot.LICENSE", "text/plain; charset=utf-8"},
}

func newPages() (*pages, error) {
	p := &pages{files: map[string]file{}}
	for at, f := range served {
		data, err := assets.ReadFile(path.Join("assets", f.name))
		if err != nil {
			return nil, err
		}
		p.files[at] = file{data, f.mediaType, fmt.Sprintf(`"%x"`, sha256.Sum256(data))}
	}
	return p, nil
}

func (p *pages) register(mux *http.ServeMux) {
	for at, f := range p.files {
		mux.HandleFunc("GET "+at, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", f.mediaType)
			w.Header().Set("ETag", f.etag)
			w.Header().Set("Cache-Control", "no-cache") // asked about each time, sent once a version
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
		})
	}
}
