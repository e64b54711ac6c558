package swift

import (
	"net"
	"time"

	"github.com/regferry/regferry/backends/parts"
)

// Within has the connections that r makes from now on stall after the given time.
func (r *Reader) Within(limit time.Duration) {
	t := r.files.transport
	t.CloseIdleConnections()
	t.DialContext = parts.Dial(new(net.Dialer).DialContext).Within(limit)
}

// ManifestMost sets how long the PUT of a manifest may take.
func (s *Store) ManifestMost(d time.Duration) { s.manifestMost = d }
