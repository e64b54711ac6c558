package web

import (
	"bytes"
	"net/http"
	"time"
)

// maxClients is how many streams there may be, at most one look a second each.
const maxClients = 64

const (
	every   = time.Second
	patient = 10 * time.Second // for a client to take one event
)

// stream sends the status as server-sent events: "status" with everything, at
// first and whenever one of the lists changed, else "brief" without them. One
// comes each second, so that a client that hears nothing knows that it is cut
// off.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.clients <- struct{}{}:
		defer func() { <-s.clients }()
	default:
		w.Header().Set("Retry-After", "10")
		line(w, http.StatusServiceUnavailable, "too many pages are open; the status is at /status")
		return
	}
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Time{}); err != nil { // of the server, which would end this
		s.o.Log.Debug("a stream keeps its deadline", "error", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for sent := uint64(0); ; {
		look, err := s.looks.look()
		if err != nil {
			s.o.Log.Error("a stream ends", "error", err)
			return
		}
		var b bytes.Buffer
		if look.lists != sent {
			b.WriteString("retry: 2000\nevent: status\ndata: ")
			b.Write(look.full)
		} else {
			b.WriteString("event: brief\ndata: ")
			b.Write(look.brief)
		}
		sent = look.lists
		b.WriteString("\n\n")
		_ = c.SetWriteDeadline(time.Now().Add(patient)) // without one it is the connection that ends this
		if _, err := w.Write(b.Bytes()); err != nil || c.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		}
	}
}
