package s3

import (
	"net/http"
	"sync/atomic"
)

// heads gives each HEAD a connection of its own where the service is Swift. An
// error of its s3api has a chunked body, and as the answer to HEAD, which has
// none, still the end of one ("0\r\n\r\n": measured with 2.30.1). That would be
// the start of the next answer on the connection; Go's transport notices, and
// writes a line about it to the log, for each key that is not there.
type heads struct {
	*http.Transport
	swift atomic.Bool
}

func (h *heads) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodHead && h.swift.Load() {
		req = req.WithContext(req.Context()) // it belongs to the caller
		req.Close = true
	}
	resp, err := h.Transport.RoundTrip(req)
	if err == nil && resp.Header.Get("X-Trans-Id") != "" {
		h.swift.Store(true)
	}
	return resp, err
}
