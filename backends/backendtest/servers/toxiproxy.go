package servers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Proxy is a TCP proxy to a server, which can be made to do what networks do.
type Proxy struct {
	URL string // http://127.0.0.1:port, in the place of the server's

	api     string
	http    *http.Client
	process *process
}

// Toxic is one thing that goes wrong; its type and attributes are those of
// toxiproxy's README. Each connection has it or not, by chance.
type Toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`   // upstream: to the server; downstream: from it
	Toxicity   float64        `json:"toxicity"` // share of the connections
	Attributes map[string]int `json:"attributes"`
}

// Toxiproxy starts toxiproxy before a server, given as http://127.0.0.1:port.
// It stops when the test ends.
func Toxiproxy(t testing.TB, server string) *Proxy {
	t.Helper()
	program := Tool(t, "toxiproxy")
	// A free port may be taken by another process before toxiproxy has it.
	for range 3 {
		host, port, _ := net.SplitHostPort(freeAddr(t))
		p := &Proxy{api: "http://" + net.JoinHostPort(host, port), http: &http.Client{Transport: &http.Transport{}}}
		cmd := exec.Command(program, "-host", host, "-port", port, "-seed", "1")
		cmd.Env = append(environ(), "LOG_LEVEL=error")
		var err error
		if p.process, err = begin(cmd); err != nil {
			t.Fatal(err)
		}
		if err = p.begin(strings.TrimPrefix(server, "http://")); err == nil {
			t.Cleanup(func() { p.process.stop(); p.http.CloseIdleConnections() })
			return p
		}
		p.process.stop()
		t.Logf("toxiproxy on %s: %v", p.api, err)
	}
	t.Fatal("toxiproxy does not start")
	return nil
}

// begin waits for it to answer, up to 20 seconds, and makes the proxy.
func (p *Proxy) begin(upstream string) error {
	var made struct{ Listen string }
	err := fmt.Errorf("not within its time")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && !p.process.ended(); {
		err = p.do(http.MethodPost, "/proxies", map[string]any{"name": "server", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
		if err == nil {
			p.URL = "http://" + made.Listen
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// Add makes connections toxic, those that are open too.
func (p *Proxy) Add(t testing.TB, toxic Toxic) {
	t.Helper()
	if err := p.do(http.MethodPost, "/proxies/server/toxics", toxic, nil); err != nil {
		t.Fatal(err)
	}
}

// Heal takes all of that away.
func (p *Proxy) Heal(t testing.TB) {
	t.Helper()
	if err := p.do(http.MethodPost, "/reset", nil, nil); err != nil {
		t.Fatal(err)
	}
}

func (p *Proxy) do(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, p.api+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
