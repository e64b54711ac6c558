package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/migrate/mirror"
)

// Source is what is shown; a mirror is one. Its methods are called
// concurrently and answer at once.
type Source interface {
	// Status is called a few times a second at most.
	Status() mirror.Status
	// Hint says that something in a repository may have changed. It is false
	// where there is no room to remember that; the next round has it then.
	Hint(repository string) bool
	// Healthy is nil, or why somebody should look: a round is overdue.
	Healthy() error
	// Alive is nil, or why a new process is needed: a round hangs. A side that is
	// away is no such reason.
	Alive() error
	// Ready is nil, or what is being waited for: the end of the first round, or
	// the lease.
	Ready() error
}

// Options are what a Server needs to know.
type Options struct {
	Listen            string // host:port; a port of 0 is any that is free
	CertFile, KeyFile string // PEM, both or neither; they may be rotated
	TokenFile         string // what senders of notifications have to know; it may be rotated
	OpenEvents        bool   // take notifications from anybody, though the address is not loopback
	Pprof             bool   // serve /debug/pprof/

	Source   Source
	Registry prometheus.Gatherer // for /metrics; nil: there is none
	Written  Written             // for the charts; nil: they show what a round goes through
	Log      *slog.Logger        // nil: nothing is logged
}

// Written says how much was written to the destination of a pair since the
// start of the process.
type Written func(pair string) (bytes, objects int64)

// The limits of a connection. A body of notifications has maxBody bytes at
// most.
const (
	maxBody       = 1 << 20
	maxHeader     = 64 << 10
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 70 * time.Second // a profile of pprof's usual 30 s has to fit
	idleTimeout   = 2 * time.Minute
	graceful      = 5 * time.Second
)

// Server serves one Source. Make it with Listen.
type Server struct {
	o        Options
	listener net.Listener
	token    *rotated[string]          // nil: none is asked for
	cert     *rotated[tls.Certificate] // nil: no TLS
	pages    *pages
	looks    looks
	history  history
	clients  chan struct{} // as many as there are streams
	public   bool          // others than this machine reach it
	http     *http.Server
	ended    <-chan struct{} // when Run ends
}

// Listen opens the address and reads the files, so that what is wrong with
// them is known before anything else begins. Run has to follow, which closes it.
func Listen(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, clients: make(chan struct{}, maxClients)}
	s.looks.source = o.Source
	var err error
	if s.token, s.cert, err = openFiles(o); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("listening for HTTP: %w", err)
	}
	a, ok := s.listener.Addr().(*net.TCPAddr)
	s.public = !ok || !a.IP.IsLoopback()
	s.http = &http.Server{
		Handler: s.handler(), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // failed handshakes, mostly
	}
	if s.cert != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := s.cert.get()
			return &c, nil
		}}
	}
	return s, nil
}

// URL is where it is served.
func (s *Server) URL() string {
	scheme := "http"
	if s.cert != nil {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

// Run serves until ctx ends, and then lets what is being answered end, for 5
// seconds at most. It returns nil then.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	s.ended = ctx.Done()
	g.Go(func() error { s.record(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceful)
		defer cancel()
		if err := s.http.Shutdown(late); err != nil {
			return s.http.Close()
		}
		return nil
	})
	g.Go(func() error {
		var err error
		if s.cert != nil {
			err = s.http.ServeTLS(s.listener, "", "")
		} else {
			err = s.http.Serve(s.listener)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serving HTTP: %w", err)
	})
	return g.Wait()
}
