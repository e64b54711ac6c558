package swift

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

var (
	_ backends.Trier     = (*Store)(nil)
	_ backends.Cautioner = (*Reader)(nil)
)

// Try writes, reads, lists and deletes a scratch object.
func (s *Store) Try(ctx context.Context) (backends.Trial, error) {
	return backends.TryObject(ctx, s, probePrefix, s.Delete)
}

// Cautions asks for the container's headers.
func (r *Reader) Cautions(ctx context.Context) (all []string) {
	storage, _ := r.files.conn.GetStorageUrl(ctx) // it logged in by now
	all = parts.LineCautions(storage, r.o.InsecureSkipVerify)
	h, err := r.files.done(ctx, request{method: http.MethodHead})
	if err != nil {
		return all
	}
	if h.Get("X-Versions-Location") != "" || h.Get("X-History-Location") != "" || h.Get("X-Versions-Enabled") == "True" {
		all = append(all, "the container keeps versions: what is overwritten or deleted stays, and counts for the quota")
	}
	if quota, err := strconv.ParseUint(h.Get("X-Container-Meta-Quota-Bytes"), 10, 63); err == nil {
		used, _ := strconv.ParseUint(h.Get("X-Container-Bytes-Used"), 10, 63)
		all = append(all, fmt.Sprintf("the container has a quota of %s, of which %s are used", humanize.IBytes(quota), humanize.IBytes(used)))
	}
	if count := h.Get("X-Container-Meta-Quota-Count"); count != "" {
		all = append(all, fmt.Sprintf("the container has a quota of %s objects, segments included, and has %s", count, h.Get("X-Container-Object-Count")))
	}
	return all
}
