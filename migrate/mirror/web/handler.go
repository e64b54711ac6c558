package web

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// policy lets the page have its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", answer(s.o.Source.Healthy))
	mux.HandleFunc("GET /livez", answer(s.o.Source.Alive))
	mux.HandleFunc("GET /readyz", answer(s.o.Source.Ready))
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /history", s.serveHistory)
	mux.HandleFunc("GET /events/stream", s.stream)
	mux.HandleFunc("POST /events", s.events)
	s.pages.register(mux)
	if s.o.Registry != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	}
	if s.o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s.guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard sets the headers that every answer has, and keeps away pages of
// somebody else whose name was made to point to this machine.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.public && !local(r.Host) {
			line(w, http.StatusMisdirectedRequest, "this server is for its own machine: ask for localhost or an address, not for a name; a proxy before it has to set Host so")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local says whether a Host header is none that DNS could have been asked for.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(name) != nil
}

// line answers with one line of text.
func line(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, strings.Join(strings.Fields(text), " ")) // who went away does not miss it
}

// answer is 200 where a question is answered with nil, else 503 with the reason.
func answer(question func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := question(); err != nil {
			line(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		line(w, http.StatusOK, "ok")
	}
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	look, err := s.looks.look()
	if err != nil {
		line(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(look.full) // who went away does not miss it
}

func (s *Server) serveHistory(w http.ResponseWriter, r *http.Request) {
	var after int64
	if v := r.URL.Query().Get("after"); v != "" {
		if _, err := fmt.Sscan(v, &after); err != nil {
			line(w, http.StatusBadRequest, "after is a time in seconds since 1970")
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.history.since(after)) // who went away does not miss it
}
