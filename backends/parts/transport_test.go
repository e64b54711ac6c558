package parts_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/parts"
)

// stalling is a server that begins to answer and, where it gets a body, to read,
// and says and reads nothing more until the test is over.
func stalling(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	over := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.ReadFull(r.Body, make([]byte, 10))
			<-over
			return
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "a beginning")
		_ = http.NewResponseController(w).Flush()
		<-over
	}))
	start(s)
	t.Cleanup(func() { close(over); s.Close() })
	return s
}

func within(t *testing.T, limit time.Duration) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	tr.DialContext = parts.Dial(new(net.Dialer).DialContext).Within(limit)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// TestStall: what has begun and does not go on ends with an error of the network,
// in both directions, and not with one that looks like a context's.
func TestStall(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			s, c := stalling(t, start), within(t, 200*time.Millisecond)
			for method, ask := range map[string]func() error{
				"GET": func() error {
					resp, err := c.Get(s.URL)
					if err != nil {
						return err
					}
					defer resp.Body.Close()
					if got, err := io.ReadAll(resp.Body); string(got) != "a beginning" || err != nil {
						return err
					}
					return nil
				},
				"PUT": func() error {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, bytes.NewReader(make([]byte, 16<<20)))
					if err != nil {
						return err
					}
					resp, err := c.Do(r)
					if err == nil {
						resp.Body.Close()
					}
					return err
				},
			} {
				var onNet net.Error
				err := ask()
				if !errors.As(err, &onNet) || !onNet.Timeout() || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", method, err)
				}
			}
		})
	}
}

// TestNoStall: a line on which bytes go one way only, an answer whose reader
// pauses, and a connection that lay idle, each for longer than the limit.
func TestNoStall(t *testing.T) {
	const limit, longer = time.Second, 2 * time.Second
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 8 { // what is behind does not fit the buffers of the line
			if _, err := io.CopyN(io.Discard, r.Body, 1<<20); err != nil {
				break
			}
			time.Sleep(longer / 8)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer s.Close()
	c := within(t, limit)
	for _, size := range []int{32 << 20, 1} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if size > 1 {
			time.Sleep(longer)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != 1<<20 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if size > 1 {
			time.Sleep(longer)
		}
	}
}

// TestLongWrite: one Write of a whole part on a slow line, with a Read that waits
// for the answer, as TLS and HTTP have it.
func TestLongWrite(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 32 << 20
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		for range 8 {
			if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
				served <- err
				return
			}
			time.Sleep(250 * time.Millisecond)
		}
		_, err = io.CopyN(io.Discard, c, size-8<<20)
		_, e := c.Write([]byte("!"))
		served <- errors.Join(err, e)
	}()
	c, err := parts.Dial(new(net.Dialer).DialContext).Within(time.Second)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	if n, err := c.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
		c.Close()
	}
	if err := errors.Join(<-served, <-read); err != nil {
		t.Error(err)
	}
}
