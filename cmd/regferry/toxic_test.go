//go:build linux

package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// sickness is what the network between the program and a service has.
type sickness struct {
	name string
	servers.Toxic
	late  bool          // begins when something has been copied
	heals time.Duration // after that it is over; 0: with the run
	exits []int
	tries int // of each request; 0: as many as for users
}

// sicknesses are for the direction in which content goes. Those that end with
// failures try each request twice: eight times, as the program does by itself,
// take more than a minute for each object.
func sicknesses(content string) []sickness {
	toxic := func(kind string, share float64, attributes map[string]int) servers.Toxic {
		return servers.Toxic{Type: kind, Stream: content, Toxicity: share, Attributes: attributes}
	}
	ms := func(n int) map[string]int { return map[string]int{"timeout": n} }
	whole := 17 << 20 // one part, which cannot be taken up within
	if content == "downstream" {
		whole = 12 << 20 // a blob is read on from where it was cut
	}
	done := []int{exitDone}
	return []sickness{
		{"latency", toxic("latency", 1, map[string]int{"latency": 15, "jitter": 10}), false, 0, done, 0},
		{"bandwidth", toxic("bandwidth", 1, map[string]int{"rate": 10_000}), false, 0, done, 0},
		{"slow close", toxic("slow_close", 1, map[string]int{"delay": 1000}), false, 0, done, 0},
		{"connections reset", toxic("reset_peer", 0.2, ms(20)), false, 0, done, 0},
		{"connections silent", toxic("timeout", 0.2, ms(200)), false, 0, done, 0},
		{"connections cut", toxic("limit_data", 0.2, map[string]int{"bytes": 1 << 20}), false, 0, done, 0},
		{"each connection cut", toxic("limit_data", 1, map[string]int{"bytes": whole}), false, 0, done, 0},
		{"reset for a while", toxic("reset_peer", 1, ms(0)), true, 3 * time.Second, done, 0},
		{"silent for a while", toxic("timeout", 1, ms(100)), true, 3 * time.Second, done, 0},
		{"reset from the start", toxic("reset_peer", 1, ms(0)), false, 0, []int{exitSide}, 2},
		{"cut early", toxic("limit_data", 1, map[string]int{"bytes": 1 << 20}), false, 0, []int{exitFailed}, 2},
	}
}

// TestToxicNetwork migrates through a network that does what networks do: all
// arrives, or it is said what failed and where, and the same command goes on
// when the network is well again. versitygw closes a connection after each
// answer, so there are as many as requests.
func TestToxicNetwork(t *testing.T) {
	s := servers.VersityGW(t)
	s.Credentials(t)
	s.Bucket(t, "images")
	var patients []*patient
	for _, content := range []string{"upstream", "downstream"} {
		for i, c := range sicknesses(content) {
			p := newPatient(t, s, c, fmt.Sprintf("%s/%d", content, i))
			patients = append(patients, p)
			p.begin(t)
		}
	}
	for _, p := range patients { // all are under way, and mostly wait
		t.Run(p.side+", "+p.name, p.end)
	}
}

func newPatient(t *testing.T, s *servers.S3Server, c sickness, root string) *patient {
	t.Helper()
	p := &patient{
		sickness: c, proxy: servers.Toxiproxy(t, s.Endpoint), side: "destination",
		from: onDisk(filepath.Join(fastDir(t, 200<<20), "disk")), to: inBucket(s, "images", root),
	}
	if c.Stream == "downstream" {
		p.from, p.to, p.side = p.to, p.from, "source"
	}
	shape := layouttest.Shape{Seed: 2, Repositories: 5, Tags: 1, Layers: 1, MinLayer: 4 << 20, MaxLayer: 24 << 20}
	if c.tries > 0 {
		shape.Repositories = 2 // less to give up
	}
	made := p.from.fill(t, shape)
	if largest := slices.Max(slices.Collect(maps.Values(made.Blobs))); c.tries == 0 && largest <= 17<<20 {
		t.Fatalf("the largest blob has %d bytes: it is no upload in parts", largest)
	}
	p.args = []string{"migrate", "--from", p.through(p.from), "--to", p.through(p.to), "--checkpoint", filepath.Join(t.TempDir(), "state")}
	return p
}

// patient is one migration.
type patient struct {
	sickness
	proxy    *servers.Proxy
	from, to place
	side     string // where the service is
	args     []string
	run      *process
	healed   time.Time
}

// through is the location by way of the proxy.
func (p *patient) through(at place) string {
	if at.bucket == nil {
		return at.location
	}
	return locationOf(p.proxy.URL, at.bucket.name, strings.TrimSuffix(at.bucket.prefix, "/"))
}

func (p *patient) begin(t *testing.T) {
	t.Helper()
	if !p.late {
		p.proxy.Add(t, p.Toxic)
	}
	var env []string
	args := p.args
	if p.tries > 0 {
		env = append(env, fmt.Sprintf("AWS_MAX_ATTEMPTS=%d", p.tries))
	}
	if p.late {
		args = append(slices.Clone(args), "--bandwidth", "20MiB") // so that something is left
	}
	p.run = launchWith(t, env, args...)
	if !p.late {
		return
	}
	for len(blobsOf(p.to.dir)) == 0 && p.run.running(time.Millisecond) {
	}
	p.proxy.Add(t, p.Toxic)
	p.healed = time.Now().Add(p.heals)
}

func (p *patient) end(t *testing.T) {
	if p.heals > 0 {
		time.Sleep(time.Until(p.healed))
		p.proxy.Heal(t)
	}
	p.run.end(t, p.exits...)
	t.Logf("exit %d", p.run.exit)
	unbroken(t, &audit{hash: true}, p.to, "after the first run")
	if p.run.exit != exitDone {
		p.says(t)
	}
	p.proxy.Heal(t)
	again := launch(t, p.args...)
	again.end(t, exitDone)
	sameTrees(t, p.from.tree(t), p.to.tree(t), "healed")
	if left := p.to.leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// says checks that the output names the side and the class of what failed.
func (p *patient) says(t *testing.T) {
	t.Helper()
	text := p.run.out.String()
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, p.side+": ") && strings.Contains(line, "(transient)") {
			t.Log(line)
			return
		}
	}
	t.Errorf("it is not said that the %s failed, and how:\n%s", p.side, text)
}
