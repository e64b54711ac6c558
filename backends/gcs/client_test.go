package gcs

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestDeadConnection: a connection of HTTP/2 on which nothing comes any more is
// given up, and with it what is read from it.
func TestDeadConnection(t *testing.T) {
	over := make(chan struct{})
	var dead atomic.Bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		dead.Store(true)
		<-over
	}))
	server.Listener = &listener{server.Listener, &dead, over}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	defer close(over)
	conns := transport()
	defer conns.CloseIdleConnections()
	if conns.HTTP2 == nil || conns.HTTP2.SendPingTimeout <= 0 || conns.HTTP2.PingTimeout <= 0 {
		t.Fatal("nobody asks whether a connection is alive")
	}
	conns.HTTP2.SendPingTimeout, conns.HTTP2.PingTimeout = 50*time.Millisecond, 50*time.Millisecond // of 30 s and 15
	conns.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	resp, err := (&http.Client{Transport: conns}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("it is %s", resp.Proto)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "some" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

// listener accepts connections that keep to themselves what they get, once they
// are dead.
type listener struct {
	net.Listener
	dead *atomic.Bool
	over chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &conn{c, l}, err
}

type conn struct {
	net.Conn
	l *listener
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.l.dead.Load() {
		<-c.l.over
	}
	return n, err
}
